# SPDX-License-Identifier: Apache-2.0
"""Messages between a supervisor and a process of its own."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from typing import Any

from bev_perception.untrusted import parse_json

FD_VARIABLE = "BEV_SUPERVISOR_FD"
"""Environment variable with the number of the child's end, an open file descriptor."""

_LONGEST = 1 << 16


class Channel:
    """One end: whole messages in their order, plain data as JSON.

    Args:
        end: a connected socket that keeps messages apart.

    Attributes:
        is_closed: whether the other end has gone.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self.is_closed = False

    @classmethod
    def from_environment(cls) -> Channel | None:
        """That of the supervisor that started this process, None where there is none.

        Processes that this one starts do not get it.
        """
        number = os.environ.pop(FD_VARIABLE, "")
        if not number:
            return None
        end = socket.socket(fileno=int(number))
        end.set_inheritable(False)
        return cls(end)

    @classmethod
    def pair(cls) -> tuple[Channel, socket.socket]:
        """An end of one's own, and one to pass to a child."""
        own, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(own), other

    def fileno(self) -> int:
        """For selectors."""
        return self._end.fileno()

    def send(self, message: Mapping[str, Any]) -> None:
        """Never waits: what nobody hears is lost."""
        try:
            self._end.send(json.dumps(message).encode(), socket.MSG_DONTWAIT)
        except OSError:  # the other has ended, which its exit code tells, or does not listen
            return

    def receive(self, timeout_s: float | None = 0.0) -> dict[str, Any] | None:
        """The next message; None where none has come, or none will come any more.

        Args:
            timeout_s: how long to wait for it; None for as long as it takes.
        """
        try:
            self._end.settimeout(timeout_s)
            data = self._end.recv(_LONGEST)
        except (BlockingIOError, TimeoutError):
            return None
        except ConnectionResetError:
            data = b""
        if not data:
            self.is_closed = True
            return None
        message: dict[str, Any] = parse_json(data.decode())
        return message

    def close(self) -> None:
        """Of this end."""
        self._end.close()
