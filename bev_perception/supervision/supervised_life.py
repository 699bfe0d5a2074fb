# SPDX-License-Identifier: Apache-2.0
"""What a process under a supervisor knows of its part."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

from bev_perception.supervision.channel import Channel

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

Order = Mapping[str, Any]
"""What a standby is to load, plain data."""


@dataclass(frozen=True)
class Takeover:
    """The moment when a process becomes the active one.

    Attributes:
        restarts: how many were active before it.
        cause: how the last of them ended; "" for the first one.
        memory: what that one had told last for those that come after it.
        at_ns: steady time, nanoseconds.
    """

    restarts: int
    cause: str
    memory: Mapping[str, Any]
    at_ns: int


class SupervisedLife:
    """Of this process, from standby to the end.

    Args:
        channel: to the supervisor.

    Attributes:
        takeover: None while this process waits.
        standby: "loading" or "ready" where there is another one on standby, else "".
        standby_problem: what is wrong with it.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.takeover: Takeover | None = None
        self.standby = self.standby_problem = ""

    @classmethod
    def from_environment(cls) -> SupervisedLife | None:
        """None where nobody supervises this process."""
        channel = Channel.from_environment()
        return None if channel is None else cls(channel)

    def wait(self, prepare: Callable[[Order | None], str], settling_s: float = 0.0) -> bool:
        """Waits until this process is to be active, or is not needed any more.

        Args:
            prepare: called with what is to be loaded, None where that is not known yet; returns
                what went wrong, else "". SIGINT or SIGTERM end the process meanwhile; in the
                pauses they only end the wait.
            settling_s: so long after it, this process calls itself prepared.

        Returns:
            Whether it is to be active.
        """
        try:
            return self._waited(prepare, settling_s)
        except KeyboardInterrupt:
            return False

    def _waited(self, prepare: Callable[[Order | None], str], settling_s: float) -> bool:
        problem: str | None = None
        while self.takeover is None:
            message = self._channel.receive(None if problem is None else settling_s)
            if self._channel.is_closed:
                return False  # the supervisor has ended
            if message is None:
                self._channel.send({"tell": "prepared", "problem": problem})
                problem = None
            elif message["do"] == "prepare":
                problem = _undisturbed(prepare, message["order"])
            else:
                self.takeover = Takeover(
                    message["restarts"], message["cause"], message["memory"], time.monotonic_ns()
                )
        return True

    def tell(self, memory: Mapping[str, Any], order: Order | None) -> None:
        """Of the active process: that it is up, and what the next one begins with.

        Args:
            memory: plain data.
            order: what it has loaded.
        """
        self._channel.send({"tell": "memory", "memory": memory, "order": order})

    def listen(self) -> None:
        """Brings standby and standby_problem up to date; costs microseconds."""
        while not self._channel.is_closed and (message := self._channel.receive()) is not None:
            if "standby" in message:
                self.standby, self.standby_problem = message["standby"], message["problem"]


def _undisturbed(prepare: Callable[[Order | None], str], order: Order | None) -> str:
    handlers = {number: signal.signal(number, _leave) for number in _SIGNALS}
    problem = prepare(order)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    return problem


def _leave(number: int, frame: FrameType | None) -> None:
    """At once: a thread may be in the middle of imports, and nothing is there to clean up."""
    os._exit(0)
