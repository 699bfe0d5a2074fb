# SPDX-License-Identifier: Apache-2.0
"""Cameras, perception node and observer as three processes, from start to end."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from node_observer import NodeObserver
from process_usage import MachineUsage, ProcessUsage

from bev_perception.bags import BagReader
from bev_perception.errors import BevError
from bev_perception.ros.session import Session

WARM_GRIDS = 20
"""Grids before a run counts: the engine has its pace by then."""

PATIENCE_S = 60.0
SAMPLE_S = 1.0


class NodeRun:
    """One run and what was seen of it.

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

            def spin_until(condition: Callable[[], bool], patience_s: float) -> bool:
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

            if not spin_until(lambda: len(self.observer.grids) >= WARM_GRIDS, PATIENCE_S):
                raise BevError(f"no grids within {PATIENCE_S:g} s; see {self._folder}/*.log")
            self.observer.begin()
            spin_until(lambda: self.observer.diagnosed, PATIENCE_S)  # drops count from here
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
    def engine_ms(self) -> float:
        """Median of the network alone."""
        return float(np.median(self.observer.latencies_ms["engine"]))
