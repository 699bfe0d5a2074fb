# SPDX-License-Identifier: Apache-2.0
"""Every fault against the real perception node: named how soon, what goes on, back how soon.

    python benchmarks/faults.py --write docs/reliability.md        # about five minutes
    python benchmarks/faults.py --only standby --write docs/reliability.md     # those rows alone

Drivers of four cameras, a localisation and a clock publish at 10 Hz; between them and the node
bev_perception.faults injects one fault after the other for 2.2 s. The network takes a few
milliseconds: what is measured is the node. The table is printed, and written between the marks
of a document.

Exit code 1: a fault is not named or the node is not back within a second.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "test"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "test" / "ros"))

import numpy as np
from fault_observer import FaultObserver
from fault_processes import (
    ProcessOutcome,
    fill_disk,
    kill_drivers,
    kill_node,
    kill_node_with_standby,
    kill_recorder,
    kill_source,
)
from fault_table import between_marks, merged, table
from fault_trials import CLOCK_TRIALS, ENGINE_TRIALS, MESSAGE_TRIALS, Outcome, problems, run_trial
from faulty_drivers import FaultyDrivers
from ros_client import Client
from ros_processes import RosProcess, RosProcesses, perception_starter
from tiny_network import save_tiny_network

from bev_perception.bags import BagWriter
from bev_perception.cli.ros_domain import own_domain
from bev_perception.faults.calls import CallOrders
from bev_perception.geometry import CameraFrame, FrameSet, RigidTransform, load_rig
from bev_perception.perception.image_noise import is_noise
from bev_perception.resources import config_path
from bev_perception.ros.repeated_images import RepeatedImages
from bev_perception.supervision.program import STANDBY_OPTION

BAG_SETS, PERIOD_NS = 600, 100_000_000


class Bench:
    """A node, its drivers and who listens.

    Args:
        folder: for files and logs.
        sim_time: whether the node follows /clock.
    """

    def __init__(self, folder: Path, sim_time: bool = False) -> None:
        import rclpy

        self.folder, self._sim_time = folder, sim_time
        folder.mkdir()
        self.rig_file = folder / "rig.yaml"
        text = config_path("rigs/default.yaml").read_text(encoding="utf-8")
        text = text.replace("width: 672", "width: 96").replace("height: 448", "height: 64")
        self.rig_file.write_text(text, encoding="utf-8")
        self.rig = load_rig(self.rig_file)
        self.client = Client(rclpy, f"faults_{folder.name}")
        self.orders = CallOrders(folder / "orders")
        self.drivers = self.new_drivers()
        self.observer = FaultObserver(self.client, "bev", self.drivers.now_ns)
        self._processes = RosProcesses(folder)
        self._start = perception_starter(
            self._processes, save_tiny_network(folder / "fast.safetensors")
        )

    def new_drivers(self) -> FaultyDrivers:
        """Not started yet."""
        return FaultyDrivers(self.client, self.rig, self._sim_time)

    def start_node(self, *options: str) -> RosProcess:
        """With the thresholds that users get."""
        return self._start(
            command=("sabotaged_node", self.folder / "orders", *options),
            backend="cpu",
            use_sim_time=self._sim_time,
            watchdog_s=0.6,
        )

    def start_player(self) -> RosProcess:
        """bev play of a bag of these cameras, in a loop."""
        bag = self.folder / "drive"
        if not bag.exists():
            images = self.drivers.cameras.images
            with BagWriter(bag) as writer:
                for index in range(BAG_SETS):
                    stamp_ns = (index + 1) * PERIOD_NS
                    frames = {
                        name: CameraFrame(name, stamp_ns, images[name] ^ np.uint8(index % 2))
                        for name in self.rig
                    }
                    pose = RigidTransform(np.eye(3), np.array([0.5 * index, 0.0, 0.0]))
                    writer.write_frame_set(FrameSet(stamp_ns, frames, (), pose), self.rig)
        return self._processes("bev_perception.cli.main", "play", bag, "--loop")

    def start_town(self) -> RosProcess:
        """The simulator's node."""
        parameters = {"rig_file": str(self.rig_file)}
        return self._processes("bev_perception.ros.simulation_node", parameters=parameters)

    def close(self) -> None:
        """Ends all, and keeps the logs."""
        self.orders.revoke()
        self.drivers.close()
        for process in self._processes.started:
            if process.process.poll() is None:
                process.stop()
        self.client.close()


@contextmanager
def bench(
    folder: Path, sim_time: bool = False, options: tuple[str, ...] = ()
) -> Iterator[tuple[Bench, RosProcess]]:
    """A node at work and its drivers."""
    made = Bench(folder, sim_time)
    try:
        node = made.start_node(*options)
        made.drivers.start()
        yield made, node
    finally:
        made.close()


def run(folder: Path, only: str) -> tuple[list[Outcome], list[ProcessOutcome]]:
    """All trials whose name or text holds a word."""
    outcomes: list[Outcome] = []
    processes: list[ProcessOutcome] = []
    for name, trials in {
        "messages": MESSAGE_TRIALS,
        "engine": ENGINE_TRIALS,
        "clock": CLOCK_TRIALS,
    }.items():
        chosen = [trial for trial in trials if only in f"{trial.name} {trial.text}"]
        if not chosen:
            continue
        with bench(folder / name, trials is CLOCK_TRIALS) as (made, _):
            for trial in chosen:
                outcomes.append(run_trial(trial, made.drivers, made.observer, made.orders))
                print(table(outcomes[-1:], []).splitlines()[-1], flush=True)
    if not only or only in ("processes", "standby"):
        with bench(folder / "standby", options=(STANDBY_OPTION,)) as (made, node):
            processes.append(kill_node_with_standby(node, made.observer))
    if not only or only == "processes":
        with bench(folder / "processes") as (made, node):
            processes.insert(0, kill_node(made.start_node, node, made.observer))
            outcome, made.drivers = kill_drivers(made.new_drivers, made.drivers, made.observer)
            processes.append(outcome)
            processes.append(kill_recorder(made.folder, made.observer))
            processes.append(fill_disk(made.folder, made.observer))
            made.drivers.close()
            for text, start in {
                "kill -9 of the player, started again": made.start_player,
                "kill -9 of the simulator, started again": made.start_town,
            }.items():
                processes.append(kill_source(text, start, made.client, made.observer))
    return outcomes, processes


def costs() -> str:
    """What the checks of contents take, in words."""
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (480, 640, 3), dtype=np.uint8) for _ in range(32)]
    messages = [image.tobytes() for image in images]
    repeated, runs = RepeatedImages(), 400
    began = time.perf_counter()
    for index in range(runs):
        repeated.look(messages[index % 32], index)
    middle = time.perf_counter()
    for index in range(runs):
        is_noise(images[index % 32])
    noise_us, look_us = (
        1e6 * seconds / runs for seconds in (time.perf_counter() - middle, middle - began)
    )
    return (
        f"An image of 640 x 480 is compared with the one before in {look_us:.0f} microseconds, and "
        f"one of each set looked at for noise in {noise_us:.0f}."
    )


def machine() -> str:
    """Processor, cores and load."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return (
        f"{next(names, platform.machine())}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.0f} (other work ran beside), {time.strftime('%d %B %Y')}"
    )


def main() -> int:
    """Runs the trials; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, help="document that gets the table between its marks")
    parser.add_argument(
        "--only", default="", help="word in the names of the faults to try, processes, or standby"
    )
    arguments = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:2])
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import rclpy

    with tempfile.TemporaryDirectory() as folder, own_domain():
        rclpy.init()
        outcomes, processes = run(Path(folder), arguments.only)
        rclpy.shutdown()
    text = f"{table(outcomes, processes)}\n\n{machine()}. {costs()}"
    print(text)
    if arguments.write:
        document = arguments.write.read_text(encoding="utf-8")
        whole = merged(document, text) if arguments.only else between_marks(document, text)
        arguments.write.write_text(whole, encoding="utf-8")
    failed = [f"{entry.trial.text}: {text}" for entry in outcomes for text in problems(entry)]
    print("\n".join(failed) or "every fault was named, and the node back, within a second")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
