# SPDX-License-Identifier: Apache-2.0
"""Real nodes in real processes, and waiting for what they do."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

TIMEOUT_S = 60.0
"""For whatever a test waits for: only a test that fails takes so long, however slow the machine."""

PERCEPTION = "bev_perception.ros.perception_node"

PATIENT_S = 30.0
"""The watchdog of nodes whose test is about something else: a busy machine costs them no set."""


def wait_for(
    condition: Callable[[], Any],
    timeout_s: float = TIMEOUT_S,
    what: str | Callable[[], str] = "the condition",
) -> Any:
    """The first true value of condition(); fails the test after timeout_s."""
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > end:
            pytest.fail(
                f"waited {timeout_s:.0f} s in vain for {what() if callable(what) else what}"
            )
        time.sleep(0.01)
    return value


class RosProcess:
    """A node in a process of its own, its output in a file.

    Attributes:
        process: the child.
        log_path: where stdout and stderr go together.
    """

    def __init__(self, command: list[str], log_path: Path, environment: dict[str, str]) -> None:
        self.name = " ".join(command[1:4])
        self.log_path = log_path
        with log_path.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=environment
            )

    @property
    def log(self) -> str:
        """Everything written so far."""
        return self.log_path.read_text(errors="replace")

    def wait_for_log(self, pattern: str, timeout_s: float = TIMEOUT_S) -> re.Match[str]:
        """The first match of a regular expression in the log."""

        def found() -> re.Match[str] | None:
            match = re.search(pattern, self.log)
            if match is None and self.process.poll() is not None:
                pytest.fail(f"{self.name} ended ({self.process.returncode}) without {pattern!r}")
            return match

        return wait_for(found, timeout_s, f"{pattern!r} in the log of {self.name}")

    def wait(self, timeout_s: float = TIMEOUT_S) -> int:
        """Exit code of a process that ends by itself."""
        return self.process.wait(timeout_s)

    def stop(
        self, with_signal: signal.Signals = signal.SIGINT, timeout_s: float = TIMEOUT_S
    ) -> int:
        """Ends it as Ctrl-C does; its exit code. One that hangs is killed and fails the test."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            pytest.fail(f"{self.name} went on for {timeout_s} s after {with_signal.name}")


class RosProcesses:
    """Starts nodes, ends them all, prints their logs (pytest shows those of failed tests)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[RosProcess] = []

    def __call__(
        self,
        module: str,
        *arguments: object,
        parameters: Mapping[str, Any] | None = None,
        remappings: Mapping[str, str] | None = None,
        ready: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> RosProcess:
        """Runs ``python -m module arguments --ros-args ...``.

        Args:
            module: for example bev_perception.ros.perception_node.
            arguments: before --ros-args.
            parameters: node parameters, plain values.
            remappings: names by name.
            ready: regular expression to wait for in the log.
            environment: variables beside those of the domain.
        """
        command = [sys.executable, "-m", module, *map(str, arguments)]
        ros = [f"{name}:={json.dumps(value)}" for name, value in (parameters or {}).items()]
        options = [part for value in ros for part in ("-p", value)]
        for name, other in (remappings or {}).items():
            options += ["-r", f"{name}:={other}"]
        if options:
            command += ["--ros-args", *options]
        log_path = self.folder / f"{module.rpartition('.')[2]}_{len(self.started)}.log"
        process = RosProcess(command, log_path, {**os.environ, **(environment or {})})
        self.started.append(process)
        if ready is not None:
            process.wait_for_log(ready)
        return process

    def stop(self) -> None:
        """Ends all, newest first."""
        for process in reversed(self.started):
            try:
                process.stop()
            finally:
                print(f"---- {process.name}\n{process.log}")


def perception_starter(processes: RosProcesses, weights: Path) -> Callable[..., RosProcess]:
    """start(name, command, points, **parameters) of the perception node, wired to Cameras' topics.

    command is another module that runs it, and that module's arguments; clouds come on points.
    """

    def start(
        name: str = "bev",
        command: tuple[object, ...] = (PERCEPTION,),
        points: str = "/lidar/points",
        **parameters: Any,
    ) -> RosProcess:
        values = {"weights": str(weights), "device": "cpu", "num_threads": 1}
        values |= {"watchdog_s": PATIENT_S, **parameters}
        compressed = values.get("image_transport") == "compressed"
        remappings = {"__node": name}
        for camera in values.get("cameras", ("front", "left", "rear", "right")):
            image = f"/camera/{camera}/image_raw" + ("/compressed" if compressed else "")
            remappings[f"~/input/{camera}/image"] = image
            remappings[f"~/input/{camera}/camera_info"] = f"/camera/{camera}/camera_info"
        remappings["~/input/points"] = points
        module, *arguments = command
        return processes(str(module), *arguments, parameters=values, remappings=remappings)

    return start
