# SPDX-License-Identifier: Apache-2.0
"""A thread with room for one piece of waiting work: the newest wins."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Work = TypeVar("Work")

HAND_OVER_S = 0.005
"""How long put leaves the interpreter to the worker at most."""


class NewestWorker(Generic[Work]):
    """Does one piece of work after the other; of those that come meanwhile only the newest.

    So however slow the work is, a result is never older than twice the time it takes, and no
    more than two pieces are held.

    Args:
        work: called in the thread, one at a time; must catch what it can handle.
        name: of the thread.
        on_crash: called in the thread with what work did not catch; the thread goes on.
    """

    def __init__(
        self,
        work: Callable[[Work], object],
        name: str,
        on_crash: Callable[[BaseException], object],
    ) -> None:
        self._work = work
        self._on_crash = on_crash
        self._condition = threading.Condition()
        self._waiting: Work | None = None
        self._stopped = False
        self._is_idle = True
        self._has_priority = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, work: Work) -> Work | None:
        """Hands work over; returns the piece that it replaces, which is never done.

        Where the worker was idle, sleeps until it has called let_go or is done: two threads
        that both want the interpreter take turns so often that the work takes twice as long.
        """
        with self._condition:
            replaced, self._waiting = self._waiting, work
            self._condition.notify_all()
            if self._is_idle:
                self._has_priority = True
                self._condition.wait_for(lambda: not self._has_priority, HAND_OVER_S)
        return replaced

    def let_go(self) -> None:
        """Called by the work when it begins what needs no interpreter."""
        with self._condition:
            self._has_priority = False
            self._condition.notify_all()

    def clear(self) -> Work | None:
        """Takes back what waits."""
        with self._condition:
            replaced, self._waiting = self._waiting, None
        return replaced

    def stop(self, timeout_s: float | None = None) -> bool:
        """Ends the thread after the work in hand; what waits is not done.

        Args:
            timeout_s: longest time to wait for that work; None for as long as it takes.

        Returns:
            Whether it has ended; if not, the thread is left to itself and ends with the process.
        """
        with self._condition:
            self._stopped = True
            self._condition.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._is_idle = True
                self._condition.wait_for(lambda: self._stopped or self._waiting is not None)
                if self._stopped or self._waiting is None:
                    return
                work, self._waiting = self._waiting, None
                self._is_idle = False
            try:
                self._work(work)
            except Exception as error:
                self._on_crash(error)
            del work
            self.let_go()
