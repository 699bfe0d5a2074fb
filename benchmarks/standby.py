# SPDX-License-Identifier: Apache-2.0
"""What a standby of the perception node brings and what it costs, with the shipped network.

    python benchmarks/standby.py --kills 5        # about three minutes

Drivers of four cameras publish at 10 Hz. The node is killed with kill -9: as it is, and started
again at once, and with --standby. Printed are the times to the first grid of all cameras, the
memory of node and standby (proportional: a page that two processes share counts half), and the
longest gap between two grids while a new standby loads.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "test"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "test" / "ros"))

from fault_observer import FaultObserver
from fault_processes import active_pid, first_whole_grid, num_standbys
from faults import machine
from faulty_drivers import FaultyDrivers
from ros_client import Client
from ros_processes import RosProcess, RosProcesses, perception_starter, wait_for

from bev_perception.cli.ros_domain import own_domain
from bev_perception.faults.processes import kill_at_once
from bev_perception.geometry import Rig, load_rig
from bev_perception.model import resolve_weights
from bev_perception.resources import config_path
from bev_perception.ros.perception_node import MODULE
from bev_perception.supervision.program import STANDBY_OPTION

SETTLED_GRIDS = 20


@dataclass
class Kills:
    """Of one way to start.

    Attributes:
        back_ms: from each kill to the first grid of all cameras.
        node_mb, standby_mb: memory before each kill; standby_mb is empty without one.
        gaps_ms: longest time without a grid while a standby loaded.
    """

    back_ms: list[float] = field(default_factory=list)
    node_mb: list[float] = field(default_factory=list)
    standby_mb: list[float] = field(default_factory=list)
    gaps_ms: list[float] = field(default_factory=list)


def kill_and_start(start: Callable[[], RosProcess], observer: FaultObserver, kills: int) -> Kills:
    """Without a standby."""
    found, node = Kills(), start()
    for _ in range(kills):
        settle(observer)
        found.node_mb.append(memory_mb(node.process.pid))
        grids, began_s = len(observer.grids), time.monotonic()
        kill_at_once(node.process.pid)
        node.process.wait()
        node = start()
        found.back_ms.append(1e3 * (first_whole_grid(observer, grids) - began_s))
    node.stop()
    return found


def kill_beside_standby(
    start: Callable[[], RosProcess], observer: FaultObserver, kills: int
) -> Kills:
    """With one."""
    found, node = Kills(), start()
    wait_for(lambda: observer.grids, what="a grid")
    back_s = observer.grids[0].at_s
    for number in range(kills):
        wait_for(lambda count=number: num_standbys(node) > count, what="a standby")
        times_s = [grid.at_s for grid in observer.grids if grid.at_s >= back_s]
        found.gaps_ms.append(1e3 * max(b - a for a, b in pairwise(times_s)))
        settle(observer)
        found.node_mb.append(memory_mb(active_pid(node)))
        standby = re.findall(r"process (\d+) is on standby", node.log)[-1]
        found.standby_mb.append(memory_mb(int(standby)))
        grids, began_s = len(observer.grids), time.monotonic()
        kill_at_once(active_pid(node))
        back_s = first_whole_grid(observer, grids)
        found.back_ms.append(1e3 * (back_s - began_s))
    node.stop()
    return found


def settle(observer: FaultObserver) -> None:
    """Waits for some grids more."""
    enough = len(observer.grids) + SETTLED_GRIDS
    wait_for(lambda: len(observer.grids) >= enough, what="grids")


def memory_mb(pid: int) -> float:
    """Proportional set size, megabytes."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    match = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    assert match is not None, text
    return int(match.group(1)) * 1024 / 1e6


def small_rig(folder: Path) -> Rig:
    """The default rig with images of 96 x 64."""
    text = config_path("rigs/default.yaml").read_text(encoding="utf-8")
    path = folder / "rig.yaml"
    path.write_text(text.replace("width: 672", "width: 96").replace("height: 448", "height: 64"))
    return load_rig(path)


def run(folder: Path, kills: int) -> dict[str, Kills]:
    """Both ways, one after the other."""
    import rclpy

    client = Client(rclpy, "standby_benchmark")
    drivers = FaultyDrivers(client, small_rig(folder), False)
    processes = RosProcesses(folder)
    start = perception_starter(processes, resolve_weights("tiny"))
    found: dict[str, Kills] = {}
    try:
        drivers.start()
        ways = {"started again": (), "--standby": (STANDBY_OPTION,)}
        for name, options in ways.items():
            trial = kill_beside_standby if options else kill_and_start
            observer = FaultObserver(client, "bev", drivers.now_ns)
            found[name] = trial(
                lambda options=options: start(command=(MODULE, *options)), observer, kills
            )
    finally:
        for process in processes.started:
            if process.process.poll() is None:
                process.stop()
        drivers.close()
        client.close()
    return found


def table(found: dict[str, Kills]) -> str:
    """Markdown."""
    lines = [
        "| node | back after ms (all kills) | memory of the node | of its standby | longest gap |",
        "|---|---|---|---|---|",
    ]
    for name, kills in found.items():
        times = ", ".join(f"{value:.0f}" for value in sorted(kills.back_ms))
        standby = f"{statistics.median(kills.standby_mb):.0f} MB" if kills.standby_mb else "-"
        gap = f"{statistics.median(kills.gaps_ms):.0f} ms" if kills.gaps_ms else "-"
        lines.append(
            f"| {name} | {statistics.median(kills.back_ms):.0f} ({times}) | "
            f"{statistics.median(kills.node_mb):.0f} MB | {standby} | {gap} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Prints the table; exit code 1 where a standby takes more than a second."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=5, help="of each way")
    arguments = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:2])
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import rclpy

    with tempfile.TemporaryDirectory() as folder, own_domain():
        rclpy.init()
        found = run(Path(folder), arguments.kills)
        rclpy.shutdown()
    print(f"{table(found)}\n\n{machine()}")
    return 1 if statistics.median(found["--standby"].back_ms) > 1000.0 else 0


if __name__ == "__main__":
    sys.exit(main())
