# SPDX-License-Identifier: Apache-2.0
"""A process under a supervisor: started, heard, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from bev_perception.supervision.bound_child import command
from bev_perception.supervision.channel import FD_VARIABLE, Channel


class Member:
    """One process. Ctrl-C in a terminal does not reach it, and it ends with its supervisor.

    Args:
        arguments: of ``python -m``.

    Attributes:
        channel: to and from it.
        up_since_s: steady seconds since when it does what it is for; None before.

    Raises:
        OSError: the system cannot start another process now.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self.channel, other = Channel.pair()
        self.up_since_s: float | None = None
        self._is_asked = False
        with other:
            self._process = subprocess.Popen(
                command(arguments),
                stdin=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
                env={**os.environ, FD_VARIABLE: str(other.fileno())},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._process.poll()

    @property
    def up_s(self) -> float | None:
        """How long it has been up; None where it has not been."""
        return None if self.up_since_s is None else time.monotonic() - self.up_since_s

    def is_up(self) -> None:
        """It does what it is for."""
        if self.up_since_s is None:
            self.up_since_s = time.monotonic()

    def next_message(self) -> dict[str, Any] | None:
        """What it has said, one after the other."""
        return self.channel.receive()

    def ask_to_end(self, number: int) -> None:
        """By a signal, once: a second one would disturb its end."""
        if self.exit_code is None and not self._is_asked:
            self._process.send_signal(number)
        self._is_asked = True

    def end(self, number: int, patience_s: float) -> int:
        """Asks it to end, and takes kill -9 where it has not after a while; its exit code."""
        self.ask_to_end(number)
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
        code = self._process.wait()
        self.channel.close()
        return code


def cause_of(code: int) -> str:
    """How a process with that exit code has ended, in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name
    if -code == signal.SIGKILL:
        return f"was killed by {name} (by hand, or by the system because memory was short)"
    return f"was ended by {name}"
