# SPDX-License-Identifier: Apache-2.0
"""Player, relay, perception node and observer of a soak, from start to end."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from node_observer import NodeObserver
from soak_relay import CLOCK, FILLING_S, PLAYER, RELAYED_CLOCK, routes_of
from soak_samples import SoakSamples

from bev_perception.bags import BagReader
from bev_perception.errors import BevError
from bev_perception.faults import Kind
from bev_perception.ros.session import Session

WARM_GRIDS = 10
PATIENCE_S = 120.0
RECOVERY_S = 10.0
EVENT_PERIOD_S = 180.0
"""Mean time between two kills of the player, and between two pauses of the node."""

LEAST_S = 60.0
"""Shorter soaks kill and pause nothing: starting a player takes seconds."""

PAUSE_S = 1.0
FILLING_PAUSES = (0.2, 0.6)
"""Shares of the time of huge images at which the node stands still, so that its buffers fill."""

REPORT_EVERY_S = 60.0


class SoakRun:
    """One soak and what was seen of it.

    Args:
        options: of the command line.
        bag: that is played.
        report: called about every minute.

    Attributes:
        windows: see SoakSamples.
    """

    def __init__(
        self, options: argparse.Namespace, bag: Path, report: Callable[[], object]
    ) -> None:
        self._options, self._bag, self._report = options, bag, report
        self._folder: Path = options.out
        self._duration_s = 60.0 * options.minutes
        self._events = self._folder / "faults.jsonl"
        self._cleanup = ExitStack()
        self._pending = _process_events(self._duration_s, options.seed, options.fault_factor)
        self._start_s = 0.0
        self._seconds = 0.0
        self._resume_s: float | None = None
        self._players_killed = self._pauses = 0
        self._recovered = False
        self._observer: NodeObserver
        self._node: subprocess.Popen[bytes]
        self._player: subprocess.Popen[bytes]
        self.windows: list[dict[str, Any]] = []

    def run(self) -> None:
        """Plays for the whole time, then waits until the node is well.

        Raises:
            BevError: a process ends early, or no grids come.
        """
        with Session("soak") as session, self._cleanup:
            self._observer = NodeObserver(session.node)
            relay = self._start("relay", *self._relay_command())
            self._node = self._start("node", *self._node_command())
            self._player = self._start("player", *self._player_command())

            def spin_until(condition: Callable[[], bool], patience_s: float) -> bool:
                end = time.monotonic() + patience_s
                while not condition():
                    if session.stopping:
                        raise KeyboardInterrupt
                    for process in (relay, self._node, self._player):
                        if process.poll() is not None:
                            raise BevError(f"a process has ended early; see {self._folder}/*.log")
                    if time.monotonic() > end:
                        return False
                    session.spin_once(0.05)
                return True

            def is_warm() -> bool:
                return self._observer.outputs["occupancy_grid"] >= WARM_GRIDS

            if not spin_until(is_warm, PATIENCE_S):
                raise BevError(f"no grids within {PATIENCE_S:g} s; see {self._folder}/*.log")
            assert relay.stdin is not None
            relay.stdin.write(b"go\n")
            relay.stdin.flush()
            self._start_s = time.monotonic()
            samples = SoakSamples(self._node.pid, self._observer, self._start_s)
            self.windows = samples.windows
            spin_until(lambda: self._step(samples), self._duration_s + PATIENCE_S)
            self._seconds = time.monotonic() - self._start_s
            relay.stdin.close()
            self._observer.begin()
            self._recovered = spin_until(self._is_well, RECOVERY_S)

    def to_dict(self) -> dict[str, Any]:
        """Plain values: windows, faults with their times, and what became of the node."""
        events = []
        if self._events.exists():
            events = [json.loads(line) for line in self._events.read_text().splitlines()]
        faults = [
            {
                **entry,
                "begin": round(entry["begin"] - self._start_s, 3),
                "end": round(entry["end"] - self._start_s, 3),
            }
            for entry in events
            if "fault" in entry
        ]
        relayed: dict[str, int] = next((e["relayed"] for e in events if "relayed" in e), {})
        observer = getattr(self, "_observer", None)
        return {
            "options": {name: _plain(value) for name, value in vars(self._options).items()},
            "seconds": round(self._seconds or time.monotonic() - self._start_s, 3),
            "players_killed": self._players_killed,
            "pauses": self._pauses,
            "clock_jumps": _clock_jumps(self._folder / "node.log"),
            "recovered": self._recovered,
            "troubles": observer.troubles if observer is not None else {},
            "engine": observer.engine if observer is not None else {},
            "relayed": relayed,
            "faults": faults,
            "windows": self.windows,
        }

    def _step(self, samples: SoakSamples) -> bool:
        """Whatever is due; whether the time is over."""
        now_s = time.monotonic() - self._start_s
        window_s = self._options.window_s
        if now_s >= window_s * (len(samples.windows) + 1):
            samples.end_window()
            if int(now_s / REPORT_EVERY_S) > int((now_s - window_s) / REPORT_EVERY_S):
                self._report()
        if self._resume_s is not None and now_s >= self._resume_s:
            self._node.send_signal(signal.SIGCONT)
            self._resume_s = None
        if self._pending and now_s >= self._pending[0][0]:
            _, kind = self._pending.pop(0)
            if kind == "kill":
                self._player.kill()
                self._player.wait()
                self._player = self._start("player", *self._player_command())
                self._players_killed += 1
            elif self._resume_s is None:
                self._node.send_signal(signal.SIGSTOP)
                self._resume_s = now_s + PAUSE_S
                self._pauses += 1
        return now_s >= self._duration_s and self._resume_s is None

    def _is_well(self) -> bool:
        observer = self._observer
        return (
            observer.diagnosed
            and observer.outputs["occupancy_grid"] >= WARM_GRIDS
            and not any(name.startswith("camera") for name in observer.troubles)
            and "hangs" not in observer.troubles.get("engine", "")
        )

    def _relay_command(self) -> list[str]:
        script = Path(__file__).with_name("soak_relay.py")
        options = self._options
        return [
            *(str(script), str(self._bag), "--events", str(self._events)),
            *("--seed", str(options.seed), "--factor", str(options.fault_factor)),
        ]

    def _node_command(self) -> list[str]:
        with BagReader(self._bag) as reader:
            cameras = reader.camera_topics
        command = ["-m", "bev_perception.ros.perception_node", "--ros-args"]
        names = json.dumps(list(cameras))
        weights = f"weights:={self._options.weights}"
        for value in (f"cameras:={names}", weights, "use_sim_time:=true"):
            command += ["-p", value]
        command += ["-r", f"{CLOCK}:={RELAYED_CLOCK}"]
        for name, topics in cameras.items():
            command += ["-r", f"~/input/{name}/image:={topics.image_topic}"]
            command += ["-r", f"~/input/{name}/camera_info:={topics.camera_info_topic}"]
        return command

    def _player_command(self) -> list[str]:
        routes = [route for route in routes_of(self._bag) if route.source.startswith(PLAYER)]
        return [
            *("-m", "bev_perception.cli.main", "play", str(self._bag), "--loop"),
            *("--clock", "100", "--topics", *(route.target for route in routes)),
            *("--remap", *(f"{route.target}:={route.source}" for route in routes)),
            *("--wait", str(PATIENCE_S), "--wait-for"),
            *(route.source for route in routes if route.kind is Kind.IMAGE),
        ]

    def _start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._cleanup.callback(_end, process)
        return process


def _end(process: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C does."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGINT)
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _process_events(duration_s: float, seed: int, factor: float) -> list[tuple[float, str]]:
    """(seconds, kill or pause) in order."""
    if duration_s < LEAST_S:
        return []
    filling = [(share * FILLING_S / factor, "pause") for share in FILLING_PAUSES]
    random = np.random.default_rng(seed)
    count = max(1, round(duration_s / EVENT_PERIOD_S))
    times = random.uniform(0.1 * duration_s, 0.9 * duration_s, (2, count))
    kinds = ("kill", "pause")
    drawn = [(float(t), kind) for kind, row in zip(kinds, times) for t in row]
    return sorted([*filling, *drawn])


def _clock_jumps(log: Path) -> int:
    """As the node's log counts them."""
    if not log.exists():
        return 0
    return log.read_text(errors="replace").count("time went backwards")


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
