# SPDX-License-Identifier: Apache-2.0
"""Processes that are killed with kill -9 and started again, and a disk that becomes full."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fault_observer import FaultObserver
from faulty_drivers import FaultyDrivers
from ros_client import Client
from ros_processes import RosProcess, wait_for

from bev_perception.faults.processes import full_disk_after, kill_at_once

WATCHED_S = 2.0
STANDBY_KILLS = 5
ATTITUDE_CELLS = 40
"""Of 1024, that may be unknown more where the vehicle leans; a missing camera costs more."""

CLI = "from bev_perception.cli.main import main; import sys; sys.exit(main())"


@dataclass(frozen=True)
class ProcessOutcome:
    """A row of the table; texts for what is no figure.

    Attributes:
        text: what was done.
        named: where it can be read.
        named_ms: how soon; None where nobody is there to tell.
        meanwhile: what went on.
        back_ms: from the start of the process to the first grid of all cameras, or None.
    """

    text: str
    named: str
    named_ms: float | None
    meanwhile: str
    back_ms: float | None


def kill_node(
    start: Callable[[], RosProcess], node: RosProcess, observer: FaultObserver
) -> ProcessOutcome:
    """The perception node; somebody starts it again at once."""
    wait_for(observer.is_well, what="a healthy node")
    kill_at_once(node.process.pid)
    node.process.wait()
    began_s = time.monotonic()
    start()
    grids = len(observer.grids)
    back_s = first_whole_grid(observer, grids)
    return ProcessOutcome(
        "kill -9 of the perception node, started again",
        "`/diagnostics` falls silent; aggregators call the node stale",
        None,
        "none",
        1e3 * (back_s - began_s),
    )


def kill_node_with_standby(
    node: RosProcess, observer: FaultObserver, kills: int = STANDBY_KILLS
) -> ProcessOutcome:
    """A perception node whose standby takes over; the medians of several kills."""
    named_ms, back_ms = [], []
    for number in range(kills):
        wait_for(lambda: observer.grids, what="a grid")
        wait_for(lambda count=number: num_standbys(node) > count, what="a standby")
        wait_for(observer.is_well, what="a healthy node")
        grids, began_s = len(observer.grids), time.monotonic()
        kill_at_once(active_pid(node))
        back_ms.append(1e3 * (first_whole_grid(observer, grids) - began_s))
        named_s = wait_for(
            lambda since_s=began_s: next(
                (
                    at_s
                    for at_s, report in list(observer.reports)
                    if at_s > since_s and "took over" in report["process"][1]
                ),
                None,
            ),
            what="a takeover that is named",
        )
        named_ms.append(1e3 * (named_s - began_s))
    return ProcessOutcome(
        f"kill -9 of the perception node that has a standby (median of {kills})",
        "`process` WARN: took over 0 s ago: the process before was killed by SIGKILL",
        statistics.median(named_ms),
        "none",
        statistics.median(back_ms),
    )


def active_pid(node: RosProcess) -> int:
    """Of the process that does the work of a supervised node."""
    return int(re.findall(r"process (\d+) (?:starts|has loaded|takes over)", node.log)[-1])


def num_standbys(node: RosProcess) -> int:
    """How many have ever been ready."""
    return len(re.findall("is on standby", node.log))


def kill_drivers(
    make: Callable[[], FaultyDrivers], drivers: FaultyDrivers, observer: FaultObserver
) -> tuple[ProcessOutcome, FaultyDrivers]:
    """All drivers end without a word, publishers and all, and come back as new ones.

    Returns:
        What came of it, and the new drivers.
    """
    wait_for(observer.is_well, what="a healthy node")
    began_s = time.monotonic()
    drivers.close()
    named_s = wait_for(
        lambda: next(
            (
                at_s
                for at_s, report in list(observer.reports)
                if at_s > began_s and "stopped" in report["camera front"][1]
            ),
            None,
        ),
        what="a camera that is named",
    )
    time.sleep(WATCHED_S)
    grids, again_s = len(observer.grids), time.monotonic()
    drivers = make()
    drivers.start()
    back_s = first_whole_grid(observer, grids)
    return ProcessOutcome(
        "camera drivers end and are started again",
        "`camera front` ERROR: stopped, then that its publisher is gone",
        1e3 * (named_s - began_s),
        "none",
        1e3 * (back_s - again_s),
    ), drivers


def kill_recorder(folder: Path, observer: FaultObserver) -> ProcessOutcome:
    """bev record; the perception node must not notice."""
    bag = folder / "killed"
    process = _record(bag, folder / "killed.log")
    _wait_for_size(folder, bag, 300_000)
    grids, began_s = len(observer.grids), time.monotonic()
    kill_at_once(process.pid)
    process.wait()
    time.sleep(WATCHED_S)
    rate_hz = (len(observer.grids) - grids) / (time.monotonic() - began_s)
    remains = next(folder.glob(f".{bag.name}.*/**/*.mcap"))
    kept = _whole_chunks(remains)
    return ProcessOutcome(
        "kill -9 of the recorder",
        f"no bag appears; beside it a hidden file that `mcap recover` reads (whole chunks: {kept})",
        None,
        f"{rate_hz:.0f} grids/s",
        None,
    )


def fill_disk(folder: Path, observer: FaultObserver, num_bytes: int = 2_000_000) -> ProcessOutcome:
    """bev record on a disk that takes no more: it ends, says why, keeps what is there."""
    bag = folder / "full"
    process = _record(bag, folder / "full.log", full_disk_after(num_bytes))
    wait_for(lambda: process.poll() is not None, what="the recorder's end")
    log = (folder / "full.log").read_text(errors="replace")
    told = re.search(r"error: (.*)", log)
    grids, began_s = len(observer.grids), time.monotonic()
    time.sleep(WATCHED_S)
    rate_hz = (len(observer.grids) - grids) / (time.monotonic() - began_s)
    remains = bag.with_name(f"{bag.name}.cut_off.mcap")
    kept = (
        f"{remains.name} is left (whole chunks: {_whole_chunks(remains)})"
        if remains.exists()
        else "-"
    )
    assert told is not None, log
    return ProcessOutcome(
        "the disk is full while recording",
        f"the recorder ends with {process.returncode}: {_shortened(told.group(1), bag)}; {kept}",
        None,
        f"{rate_hz:.0f} grids/s",
        None,
    )


def first_whole_grid(observer: FaultObserver, since: int) -> float:
    """Steady seconds of the first grid after so many from which no camera is missing."""
    most = observer.usual_unknown + ATTITUDE_CELLS
    return float(
        wait_for(
            lambda: next(
                (grid.at_s for grid in list(observer.grids[since:]) if grid.unknown <= most), None
            ),
            what="a grid of all cameras",
        )
    )


def _record(bag: Path, log: Path, limit: Callable[[], None] | None = None) -> Any:
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-c", CLI, "record", "--out", str(bag)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            preexec_fn=limit,
        )


def _wait_for_size(folder: Path, bag: Path, num_bytes: int) -> None:
    def is_there() -> bool:
        files = folder.glob(f".{bag.name}.*/**/*.mcap")
        return sum(file.stat().st_size for file in files) >= num_bytes

    wait_for(is_there, what=f"{num_bytes} bytes of {bag.name}")


def _whole_chunks(path: Path) -> int:
    """Chunk records of an MCAP file that are there to their last byte."""
    data, place, found = path.read_bytes(), 8, 0
    while place + 9 <= len(data):
        size = int.from_bytes(data[place + 1 : place + 9], "little")
        if place + 9 + size > len(data):
            break
        found += data[place] == 0x06
        place += 9 + size
    return found


def _shortened(text: str, bag: Path) -> str:
    return text.replace(f"{bag}: ", "").replace(str(bag.parent) + "/", "").partition(";")[0]


def kill_source(
    text: str, start: Callable[[], RosProcess], client: Client, observer: FaultObserver
) -> ProcessOutcome:
    """A process that publishes all cameras; the time to be back begins with its first message."""
    from sensor_msgs.msg import CameraInfo

    process = start()
    first_whole_grid(observer, len(observer.grids))
    wait_for(lambda: _says(observer, "camera front", "images per second"), what="its cameras")
    began_s = time.monotonic()
    kill_at_once(process.process.pid)
    process.process.wait()
    named_s = wait_for(
        lambda: next(
            (
                at_s
                for at_s, report in list(observer.reports)
                if at_s > began_s and "stopped" in report["camera front"][1]
            ),
            None,
        ),
        what="a camera that is named",
    )
    time.sleep(WATCHED_S)
    arrivals: list[float] = []
    client.node.create_subscription(
        CameraInfo, "/camera/front/camera_info", lambda _: arrivals.append(time.monotonic()), 10
    )
    grids = len(observer.grids)
    process = start()
    back_s = first_whole_grid(observer, grids)
    process.stop()
    wait_for(lambda: arrivals, what="a CameraInfo")
    return ProcessOutcome(
        text,
        "`camera front` ERROR: stopped, then that its publisher is gone",
        1e3 * (named_s - began_s),
        "none",
        1e3 * max(0.0, back_s - arrivals[0]),
    )


def _says(observer: FaultObserver, part: str, text: str) -> bool:
    return bool(observer.reports) and text in observer.reports[-1][1][part][1]
