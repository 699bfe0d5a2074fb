# SPDX-License-Identifier: Apache-2.0
"""A timer that is set when there is something to wait for."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.node import Node

NANOSECONDS = 1_000_000_000

_STANDING_CLOCK_FACTOR = 10
"""On the steady clock it waits this many times longer, for a node's clock that stands still."""


class OneShot:
    """Calls back once, a while after it was set, on the node's clock.

    Args:
        node: whose clock and executor are used.
        period_ns: of waiting, nanoseconds.
        callback: called in the executor.
    """

    def __init__(self, node: Node, period_ns: int, callback: Callable[[], object]) -> None:
        self._node = node
        self._period_ns = period_ns
        self._patience_ns = _STANDING_CLOCK_FACTOR * period_ns
        self._callback = callback
        self._set_ns = 0
        self._timer = node.create_timer(max(1, period_ns) / NANOSECONDS, self._ring)
        self._timer.cancel()

    @property
    def is_set(self) -> bool:
        """Whether it will call back."""
        return not self._timer.is_canceled()

    def set(self, period_ns: int | None = None) -> None:
        """Begins to wait, anew if it waits already.

        Args:
            period_ns: of waiting this once, nanoseconds; default that of the constructor.
        """
        self._set_ns = time.monotonic_ns()
        self._timer.timer_period_ns = max(1, self._period_ns if period_ns is None else period_ns)
        self._timer.reset()

    def cancel(self) -> None:
        """Does not call back."""
        self._timer.cancel()

    def check(self) -> None:
        """Calls back if it has waited far too long by the steady clock; to be called now and then.

        The node's clock stands still while a simulator is paused or waits for an answer.
        """
        if self.is_set and time.monotonic_ns() - self._set_ns >= self._patience_ns:
            self._ring()

    def close(self) -> None:
        """Ends the timer."""
        self._node.destroy_timer(self._timer)

    def _ring(self) -> None:
        self._timer.cancel()
        self._callback()
