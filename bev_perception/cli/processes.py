# SPDX-License-Identifier: Apache-2.0
"""Processes that a command starts beside itself: logged, watched, and ended with it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from bev_perception.errors import ProcessError
from bev_perception.supervision.bound_child import command

LAST_LINES = 15
PATIENCE_S = 15.0


class ChildProcess:
    """A process of this machine, its output in a file.

    It is in a process group of its own, so that Ctrl-C in a terminal reaches only the command
    that started it, which then ends it in its own order.

    Args:
        name: for messages.
        arguments: of ``python -m``.
        log: file for stdout and stderr.
    """

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        self.name = name
        self.log = log
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command(arguments),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._process.poll()

    def last_lines(self, count: int = LAST_LINES) -> list[str]:
        """The end of its log."""
        return self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]

    def end(self) -> int:
        """Ends it as Ctrl-C does, by force if it does not listen; its exit code."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if self.exit_code is None:
                self._process.send_signal(number)
            try:
                return self._process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                continue
        return self._process.wait()


class Processes:
    """Those of one command. A context manager: whatever happens, leaving it ends them all.

    Args:
        folder: for their logs, ``<name>.log``; made here.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: dict[str, ChildProcess] = {}

    def __enter__(self) -> Processes:
        self._folder.mkdir()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for child in reversed(self._children.values()):
            child.end()

    def __getitem__(self, name: str) -> ChildProcess:
        return self._children[name]

    def start(self, name: str, *arguments: object) -> None:
        """Starts ``python -m arguments`` under a name."""
        log = self._folder / f"{name}.log"
        self._children[name] = ChildProcess(name, [str(part) for part in arguments], log)

    def check(self, may_end: Sequence[str] = ()) -> None:
        """Looks whether one has ended that should not have.

        Args:
            may_end: names of those that may be done, with exit code 0.

        Raises:
            ProcessError: one has ended; shows the end of its log.
        """
        for name, child in self._children.items():
            code = child.exit_code
            if code is not None and (code != 0 or name not in may_end):
                raise self._failure(child, f"ended with exit code {code}")

    def end(self, name: str) -> None:
        """Ends one whose work is done.

        Raises:
            ProcessError: it did not end well.
        """
        child = self._children[name]
        code = child.end()
        if code != 0:
            raise self._failure(child, f"did not end well (exit code {code})")

    def failure(self, name: str, what: str) -> ProcessError:
        """An error about one of them, the end of its log shown above it."""
        return self._failure(self._children[name], what)

    def _failure(self, child: ChildProcess, what: str) -> ProcessError:
        kept = Path(tempfile.mkdtemp(prefix="bev_demo_"))
        for log in self._folder.glob("*.log"):
            shutil.copy(log, kept)
        for line in child.last_lines():
            print(f"  {child.name} | {line}", file=sys.stderr)
        return ProcessError(
            f"the {child.name} process {what}; its last lines stand above, all logs are kept in "
            f"{kept}"
        )
