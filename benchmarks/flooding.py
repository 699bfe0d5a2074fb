# SPDX-License-Identifier: Apache-2.0
"""A perception node under flooding: what it does for the honest cameras, and what it takes.

    python benchmarks/flooding.py --seconds 10

Four honest cameras of 96x64 send ten sets per second; a process of its own floods one topic, one
kind of flood after the other. The table says, for the time of each flood: what the flooder really
sent, grids per second, images of an honest camera that were used of those sent, resident memory
before and at most, processor time, what the diagnostics said of it, and how long after its end all
was well.
"""

from __future__ import annotations

import argparse
import platform
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from process_usage import ProcessUsage

FLOODS = {
    "none": ("", 0.0),
    "images 640x480 at 500 Hz": ("images", 500.0),
    "images of 100 MB at 10 Hz": ("huge_images", 10.0),
    "400 new frames in /tf, 50 Hz": ("tf", 50.0),
    "400 new frames in /tf_static, 50 Hz": ("tf_static", 50.0),
    "changing CameraInfo at 2000 Hz": ("camera_info", 2000.0),
    "20000 markers at 20 Hz": ("markers", 20.0),
}
CAMERAS = ("front", "left", "rear", "right")
PERIOD_S = 0.1


class Watch:
    """Honest cameras, and what the node answers."""

    def __init__(self, session: Any, node_pid: int) -> None:
        from diagnostic_msgs.msg import DiagnosticArray
        from nav_msgs.msg import OccupancyGrid
        from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
        from sensor_msgs.msg import CameraInfo, Image
        from tf2_msgs.msg import TFMessage

        from bev_perception.geometry import PinholeCamera, RigidTransform
        from bev_perception.geometry.frames import BODY_T_OPTICAL
        from bev_perception.ros.image_messages import camera_info_message, image_message
        from bev_perception.ros.transform_messages import transforms_message

        self.session, self.usage = session, ProcessUsage(node_pid)
        self.grids, self.sets, self.statuses = 0, 0, dict[str, tuple[int, str, int]]()
        node, self._next_s = session.node, time.monotonic()
        quality = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        camera = PinholeCamera.from_field_of_view(96, 64, 100.0)
        noise = np.random.default_rng(0)
        self._send = []
        mountings = []
        for number, name in enumerate(CAMERAS):
            frame = f"{name}_optical_frame"
            mounting = RigidTransform.from_euler(yaw=number * np.pi / 2, translation=(1, 0, 1.6))
            mountings.append(("base_link", frame, mounting @ BODY_T_OPTICAL))
            pixels = noise.integers(0, 256, (8, 12, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
            image = node.create_publisher(Image, f"/camera/{name}/image_raw", quality)
            info = node.create_publisher(CameraInfo, f"/camera/{name}/camera_info", quality)

            def send(stamp_ns: int, frame: str = frame, pixels: Any = pixels, image: Any = image,
                     info: Any = info) -> None:  # fmt: skip
                info.publish(camera_info_message(camera, stamp_ns, frame))
                own = pixels ^ np.uint8(stamp_ns // 100_000_000 % 2)
                image.publish(image_message(own, stamp_ns, frame))

            self._send.append(send)
        self._static = node.create_publisher(TFMessage, "/tf_static", latched)
        self._static.publish(transforms_message(time.time_ns(), mountings))
        node.create_subscription(OccupancyGrid, "/bev/occupancy_grid", self._on_grid, 5)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def spin(self, seconds: float) -> None:
        """Sends sets at their time for so long."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            if now >= self._next_s:
                self._next_s = max(self._next_s + PERIOD_S, now - PERIOD_S)
                stamp_ns = time.time_ns()
                self.sets += 1
                for send in self._send:
                    send(stamp_ns)
                self.usage.sample()
            self.session.spin_once(0.01)

    def is_well(self) -> bool:
        """Whether every camera is OK."""
        return all(self.statuses.get(f"camera {name}", (9, "", 0))[0] == 0 for name in CAMERAS)

    @property
    def used(self) -> int:
        """Images of the honest camera `right` that were in a set."""
        return self.statuses.get("camera right", (0, "", 0))[2]

    def _on_grid(self, message: Any) -> None:
        self.grids += 1

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            name = status.name.partition(": ")[2] or status.name
            level = status.level[0] if isinstance(status.level, bytes) else int(status.level)
            values = {entry.key: entry.value for entry in status.values}
            self.statuses[name] = level, status.message, int(values.get("used", 0))


def measure(watch: Watch, title: str, seconds: float) -> dict[str, Any]:
    """One flood: a row of the table."""
    kind, rate_hz = FLOODS[title]
    first = len(watch.usage.rss_mb)
    watch.spin(2.0)
    calm_mb = float(np.median(watch.usage.rss_mb[first:]))
    with flooder(kind, rate_hz) as (sent, has_begun):
        while not has_begun():
            watch.spin(0.2)
        watch.spin(1.0)
        grids, sets, used = watch.grids, watch.sets, watch.used
        first = len(watch.usage.rss_mb)
        told, begin = "", time.monotonic()
        while time.monotonic() - begin < seconds:
            watch.spin(0.5)
            if "max_" not in told:  # what names the limit is worth more than what follows of it
                told = _complaint(watch) or told
        flooded_s = time.monotonic() - begin
        during = watch.grids - grids, watch.used - used, watch.sets - sets
        rss, cpu = watch.usage.rss_mb[first:], watch.usage.cpu_s[first:]
    begin = time.monotonic()
    while not watch.is_well() and time.monotonic() - begin < 30.0:
        watch.spin(0.1)
    return {
        "flood": title,
        "sent/s": "".join(sent) or "-",
        "grids/s": f"{during[0] / flooded_s:.1f}",
        "honest/s": f"{during[1] / flooded_s:.1f} of {during[2] / flooded_s:.1f}",
        "MB before": f"{calm_mb:.0f}",
        "MB at most": f"{max(rss):.0f}",
        "CPU %": f"{100 * (cpu[-1] - cpu[0]) / flooded_s:.0f}",
        "well after s": f"{time.monotonic() - begin:.1f}",
        "diagnostics": told or "-",
    }


def _complaint(watch: Watch) -> str:
    """What is said of the flooded camera or of transforms; nothing where they are OK."""
    names = ("camera front", "transforms")
    bad = [watch.statuses[name] for name in names if watch.statuses.get(name, (0, "", 0))[0]]
    return bad[0][1][:160] if bad else ""


@contextmanager
def flooder(kind: str, rate_hz: float) -> Iterator[tuple[list[str], Callable[[], bool]]]:
    """The hostile process; what it says it sent per second, once it has ended; and whether it has
    begun.
    """
    sent: list[str] = []
    if not kind:
        yield sent, lambda: True
        return
    command = [sys.executable, str(Path(__file__).with_name("flooder.py")), kind]
    process = subprocess.Popen([*command, "--rate-hz", str(rate_hz)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
    assert process.stdout is not None
    output = process.stdout
    try:
        yield sent, lambda: bool(select.select([output], [], [], 0)[0])
    finally:
        out, _ = process.communicate(timeout=60)
        sent += [line for line in out.decode().split() if line.isdigit()][-1:]


def small_weights(folder: Path) -> Path:
    """Of a network that costs nothing: what is measured is the node."""
    from bev_perception.geometry import BevGrid
    from bev_perception.model import Segnet, SegnetConfig, save_weights

    config = SegnetConfig(
        encoder="light", image_size=(64, 96), heights_m=(0.0, 1.0),
        grid=BevGrid.centered(16.0, 1.0), latent_dim=8, decoder_widths=(8, 8, 8),
        light_widths=(8, 8, 8), feature_head=False,
    )  # fmt: skip
    save_weights(folder / "small.safetensors", Segnet(config))
    return folder / "small.safetensors"


def main() -> int:
    """Runs all floods; 1 when the node died or memory was not bounded."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="of every flood")
    parser.add_argument("--weights", default="", help="default a network of no size")
    parser.add_argument("--flood", default="", help="only floods whose title holds this")
    parser.add_argument("--parameter", action="append", default=[], metavar="NAME:=VALUE")
    parser.add_argument("--most-mb", type=float, default=1000.0, help="memory that is too much")
    options = parser.parse_args()
    from bev_perception.ros.session import Session

    command = [sys.executable, "-m", "bev_perception.ros.perception_node", "--ros-args"]
    for name in CAMERAS:
        command += ["-r", f"~/input/{name}/image:=/camera/{name}/image_raw"]
        command += ["-r", f"~/input/{name}/camera_info:=/camera/{name}/camera_info"]
    with tempfile.TemporaryDirectory() as folder, Session("watch") as session:
        weights = options.weights or small_weights(Path(folder))
        for value in (f"weights:={weights}", *options.parameter):
            command += ["-p", value]
        with (Path(folder) / "log").open("wb") as log:
            node = subprocess.Popen(command, stdout=log, stderr=log)
            watch = Watch(session, node.pid)
            begin = time.monotonic()
            while watch.grids < 10 or not watch.is_well():
                watch.spin(0.5)
                if time.monotonic() - begin > 90 or node.poll() is not None:
                    print((Path(folder) / "log").read_text()[-2000:])
                    return 1
            rows = []
            for title in (title for title in FLOODS if options.flood in title):
                rows.append(measure(watch, title, options.seconds))
                print(rows[-1], flush=True)
                if node.poll() is not None:
                    print(f"the node has died: {(Path(folder) / 'log').read_text()[-2000:]}")
                    return 1
            node.send_signal(signal.SIGINT)
            node.wait(30)
    keys = list(rows[0])
    print(f"\n{platform.processor() or platform.machine()}, Python {platform.python_version()}\n")
    print("| " + " | ".join(keys) + " |\n|" + "---|" * len(keys))
    for row in rows:
        print("| " + " | ".join(str(row[key]) for key in keys) + " |")
    return int(max(float(row["MB at most"]) for row in rows) > options.most_mb)


if __name__ == "__main__":
    sys.exit(main())
