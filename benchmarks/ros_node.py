# SPDX-License-Identifier: Apache-2.0
"""What the perception node costs and whether it keeps up: latencies, losses, memory, processors.

    python benchmarks/ros_node.py [--rate-hz 10] [--minutes 1] [--rock-deg 0] [--check]
    python benchmarks/ros_node.py --rate-hz 10 20 --rock-deg 0 1      # every combination

A bag of four 448x672 rgb8 cameras is played by one process into a perception_node process; this
one subscribes to everything that the node publishes. Without --bag, a simulated town is recorded
first, so that the simulator costs nothing while the clock runs. --rock-deg lets the vehicle roll
and pitch, so that the lift's tables are made anew. With --check the exit code is 1 when a limit is
missed: at rates that the engine keeps, 5 ms median and 15 ms at p99 for what the node adds around
the engine, no set lost and no memory growth; at higher rates, the engine's rate and a bounded age.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from camera_playback import write_town_bag
from node_observer import NodeObserver
from process_usage import MachineUsage, ProcessUsage

from bev_perception.bags import BagReader
from bev_perception.errors import BevError
from bev_perception.ros.environment import PROFILE_VARIABLES
from bev_perception.ros.session import Session

NODE_MEDIAN_MS, NODE_P99_MS = 5.0, 15.0
GROWTH_MB = 10.0
ENGINE_SHARE = 0.8
"""Of the engine's own rate that an overloaded node must reach."""
WARM_GRIDS = 20
PATIENCE_S = 60.0
SAMPLE_S = 1.0


class Case:
    """One run: three processes from start to end, and what was seen.

    Args:
        options: of the command line.
        rate_hz: sets per second.
        rock_deg: roll and pitch of the vehicle at most.
        folder: for the report and the node's log.
    """

    def __init__(
        self, options: argparse.Namespace, rate_hz: float, rock_deg: float, folder: Path
    ) -> None:
        self.rate_hz, self.rock_deg = rate_hz, rock_deg
        self.num_sets = max(1, round(60.0 * options.minutes * rate_hz))
        self._options, self._folder = options, folder
        self._report = folder / "report.json"
        self._report.unlink(missing_ok=True)
        self.observer: NodeObserver
        self.usages: dict[str, ProcessUsage] = {}
        self.machine = MachineUsage()
        self.stamps_ns: list[int] = []
        self.late_ms: list[float] = []

    def run(self) -> None:
        """Plays; returns when the node has answered the last set or lets it be."""
        with Session("observer") as session, self._node() as node, self._cameras() as cameras:
            self.observer = NodeObserver(session.node)

            def spin_until(condition: object, patience_s: float = PATIENCE_S) -> bool:
                assert callable(condition)
                end = time.monotonic() + patience_s
                while not condition():
                    if session.stopping:
                        raise KeyboardInterrupt
                    if node.poll() is not None or cameras.poll() is not None:
                        raise BevError(f"a process has ended early; see {self._folder}/*.log")
                    if time.monotonic() > end:
                        return False
                    session.spin_once(0.1)
                return True

            if not spin_until(lambda: len(self.observer.grids) >= WARM_GRIDS):
                raise BevError(f"no grids within {PATIENCE_S:g} s; see {self._folder}/*.log")
            self.observer.begin()
            spin_until(lambda: self.observer.diagnosed)  # drops are counted from here
            self.observer.begin()
            assert cameras.stdin is not None
            cameras.stdin.write(b"go\n")
            cameras.stdin.flush()
            processes = {"perception_node": node.pid, "cameras": cameras.pid}
            processes["this observer"] = os.getpid()
            self.usages = {name: ProcessUsage(pid) for name, pid in processes.items()}

            def is_over() -> bool:
                taken_s = self.usages["perception_node"].seconds
                if not taken_s or time.monotonic() - taken_s[-1] >= SAMPLE_S:
                    self.machine.sample()
                    for usage in self.usages.values():
                        usage.sample()
                return self._report.exists()

            spin_until(is_over, 60.0 * self._options.minutes + PATIENCE_S)
            report = json.loads(self._report.read_text())
            self.stamps_ns, self.late_ms = report["stamps_ns"], report["late_ms"]
            spin_until(lambda: self.stamps_ns[-1] in self.observer.grids, 2.0)
            self.observer.diagnosed = False
            spin_until(lambda: self.observer.diagnosed, 5.0)

    @contextmanager
    def _node(self) -> Iterator[subprocess.Popen[bytes]]:
        with BagReader(self._options.bag) as reader:
            cameras = reader.camera_topics
        command = [sys.executable, "-m", "bev_perception.ros.perception_node", "--ros-args"]
        names = json.dumps(list(cameras))
        for value in (f"cameras:={names}", f"weights:={self._options.weights}"):
            command += ["-p", value]
        for value in self._options.parameter:
            command += ["-p", value]
        for name, topics in cameras.items():
            command += ["-r", f"~/input/{name}/image:={topics.image_topic}"]
            command += ["-r", f"~/input/{name}/camera_info:={topics.camera_info_topic}"]
        with self._process("node", command) as process:
            yield process

    @contextmanager
    def _cameras(self) -> Iterator[subprocess.Popen[bytes]]:
        script = Path(__file__).with_name("camera_playback.py")
        command = [sys.executable, str(script), str(self._options.bag)]
        command += ["--report", str(self._report), "--sets", str(self.num_sets)]
        command += ["--rate-hz", str(self.rate_hz), "--rock-deg", str(self.rock_deg)]
        with self._process("cameras", command) as process:
            yield process

    @contextmanager
    def _process(self, name: str, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT
            )
            try:
                yield process
            finally:
                process.send_signal(signal.SIGINT)
                assert process.stdin is not None
                process.stdin.close()
                process.wait(30)

    @property
    def lost(self) -> int:
        """Sets without a grid."""
        return len(set(self.stamps_ns) - set(self.observer.grids))

    @property
    def served_hz(self) -> float:
        """Grids per second, from the first to the last."""
        stamps = [stamp for stamp in self.stamps_ns if stamp in self.observer.grids]
        arrivals = [self.observer.grids[stamp] for stamp in stamps]
        return 1e9 * (len(arrivals) - 1) / max(1, arrivals[-1] - arrivals[0])

    @property
    def engine_hz(self) -> float:
        """Sets per second if there were nothing but the engine."""
        return 1e3 / float(np.median(self.observer.latencies_ms["engine"]))

    def failures(self) -> list[str]:
        """Limits that were missed."""
        found = []
        growth = self.usages["perception_node"].late_growth_mb
        if growth > GROWTH_MB:
            found.append(f"memory grew by {growth:.1f} MB, {GROWTH_MB:g} are allowed")
        if self.rate_hz > ENGINE_SHARE * self.engine_hz:
            return found + self._overload_failures()
        median, p99 = np.percentile(self.observer.latencies_ms["node"], (50, 99))
        if median > NODE_MEDIAN_MS or p99 > NODE_P99_MS:
            found.append(
                f"the node adds {median:.1f} ms median and {p99:.1f} ms at p99, "
                f"{NODE_MEDIAN_MS:g} and {NODE_P99_MS:g} are allowed"
            )
        if self.lost:
            found.append(f"{self.lost} of {len(self.stamps_ns)} sets are lost")
        return found

    def _overload_failures(self) -> list[str]:
        found = []
        wanted = ENGINE_SHARE * min(self.engine_hz, self.rate_hz)
        if self.served_hz < wanted:
            found.append(
                f"served {self.served_hz:.1f} sets/s, the engine alone would do {wanted:.1f}"
            )
        work_ms = float(np.median(self.observer.latencies_ms["engine"])) + NODE_P99_MS
        age = float(np.percentile(self.observer.latencies_ms["age"], 99))
        if age > 3.0 * work_ms:
            found.append(f"age {age:.0f} ms at p99, {3.0 * work_ms:.0f} are allowed")
        return found

    def print_tables(self) -> None:
        """Stages, sets and processes."""
        observer = self.observer
        print(
            f"\n{self.rate_hz:g} Hz for {len(self.stamps_ns) / self.rate_hz:.0f} s, "
            f"roll and pitch up to {self.rock_deg:g} deg"
        )
        print(f"{'milliseconds':24s} {'median':>8s} {'p95':>8s} {'p99':>8s} {'max':>8s}")
        rows = dict(observer.latencies_ms)
        rows["age at the subscriber"] = [
            (observer.grids[stamp] - stamp) * 1e-6
            for stamp in self.stamps_ns
            if stamp in observer.grids
        ]
        rows["cameras behind time"] = self.late_ms
        for name, values in rows.items():
            row = (*np.percentile(values, (50, 95, 99)), max(values))
            print(f"  {name:22s} " + " ".join(f"{value:8.2f}" for value in row))
        drops = ", ".join(f"{number} {cause}" for cause, number in sorted(observer.drops.items()))
        print(
            f"sets: {len(self.stamps_ns)} sent, {len(self.stamps_ns) - self.lost} served at "
            f"{self.served_hz:.2f}/s (engine alone {self.engine_hz:.1f}/s), {self.lost} lost"
            f"{'; dropped: ' + drops if drops else ''}"
        )
        print(
            f"{'process':24s} {'CPU %':>8s} {'RSS MB, begin':>14s} {'end':>8s} {'max':>8s}  growth"
        )
        for name, usage in self.usages.items():
            print(
                f"  {name:22s} {usage.cpu_percent:8.1f} {usage.delay_percent:10.1f} "
                f"{usage.rss_mb[0]:14.1f} {usage.rss_mb[-1]:8.1f} {max(usage.rss_mb):8.1f}  "
                f"{usage.late_growth_mb:+.1f} MB, {usage.late_slope_mb_per_min:+.2f} MB/min"
            )
        others = self.machine.percent_of_others(self.usages.values())
        print(f"  {'everything else':22s} {others:8.1f}")


def describe_machine(options: argparse.Namespace) -> str:
    """Machine, versions and transport."""
    from importlib.metadata import version

    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    distribution = os.environ.get("ROS_DISTRO", "wheels")
    middleware = os.environ.get("RMW_IMPLEMENTATION", "default middleware")
    profile = os.environ.get(PROFILE_VARIABLES[0], "none")
    return (
        f"{model}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} before; Python "
        f"{platform.python_version()}, torch {version('torch')}, NumPy {np.__version__}\n"
        f"ROS 2 {distribution}, {middleware}, profile {Path(profile).name}; weights "
        f"{options.weights}"
    )


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bag", type=Path, help="instead of a simulated town")
    parser.add_argument("--town-sets", type=int, default=40, help="sets of the simulated town")
    parser.add_argument("--rate-hz", type=float, nargs="+", default=[10.0])
    parser.add_argument("--rock-deg", type=float, nargs="+", default=[0.0])
    parser.add_argument("--minutes", type=float, default=1.0, help="duration of each case")
    parser.add_argument("--weights", default="tiny")
    parser.add_argument(
        "--parameter", action="append", default=[], metavar="NAME:=VALUE", help="of the node"
    )
    parser.add_argument("--logs", type=Path, help="folder that keeps the processes' logs")
    parser.add_argument("--check", action="store_true", help="exit code 1 when a limit is missed")
    return parser.parse_args()


def main() -> int:
    """Runs the cases and prints their tables."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    options = parse_options()
    missed = False
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.logs or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if options.bag is None:
            options.bag = Path(temporary) / "town"
            write_town_bag(options.bag, options.town_sets)
        for number, (rate_hz, rock_deg) in enumerate(
            itertools.product(options.rate_hz, options.rock_deg)
        ):
            case = Case(options, rate_hz, rock_deg, folder)
            case.run()
            if not number:
                print(describe_machine(options))
            case.print_tables()
            for failure in case.failures():
                missed = True
                print(f"MISSED: {failure}")
            sys.stdout.flush()
    return int(options.check and missed)


if __name__ == "__main__":
    sys.exit(main())
