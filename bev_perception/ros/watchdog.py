# SPDX-License-Identifier: Apache-2.0
"""Notices that work does not end: what a thread does is announced, any other thread may ask."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median_low
from threading import Lock

SECOND = 1_000_000_000
SLOW_FACTOR = 4
"""Work that usually takes long may take so many times as long before it counts as hanging."""

_DURATIONS_KEPT = 9


@dataclass(frozen=True)
class Hang:
    """Work that is overdue.

    Attributes:
        stage: that it is in.
        seconds: since the work began.
        limit_s: that it has exceeded.
    """

    stage: str
    seconds: float
    limit_s: float


class Watchdog:
    """One piece of work at a time. begin, enter and end are for the thread that works.

    The limit is limit_s, or SLOW_FACTOR times the median duration of the last pieces where that is
    longer: a network that takes a second for every set is slow and does not hang.

    Args:
        limit_s: seconds from begin to end; 0 for no limit.
        clock: steady time, nanoseconds.
    """

    def __init__(self, limit_s: float, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._limit_ns = round(limit_s * SECOND)
        self._clock = clock
        self._durations_ns: deque[int] = deque(maxlen=_DURATIONS_KEPT)
        self._begun_ns: int | None = None
        self._stage = ""
        self._stale_before_ns: int | None = None
        self._lock = Lock()

    @property
    def limit_s(self) -> float:
        """In force now, seconds; 0 for none."""
        return self._limit_now_ns() / SECOND

    def begin(self, stage: str) -> None:
        """Work begins, with a stage."""
        with self._lock:
            self._begun_ns, self._stage = self._clock(), stage

    def enter(self, stage: str) -> None:
        """The work goes on to its next stage."""
        self._stage = stage

    def end(self) -> None:
        """The work is done, well or badly."""
        with self._lock:
            begun_ns, self._begun_ns = self._begun_ns, None
            if begun_ns is None:
                return
            now_ns, limit_ns = self._clock(), self._limit_now_ns()
            self._durations_ns.append(now_ns - begun_ns)
            if limit_ns and now_ns - begun_ns > limit_ns:
                self._stale_before_ns = now_ns - limit_ns

    def hang(self) -> Hang | None:
        """The work in hand if it is overdue; None otherwise."""
        with self._lock:
            limit_ns = self._limit_now_ns()
            if self._begun_ns is None or not limit_ns:
                return None
            taken_ns = self._clock() - self._begun_ns
            if taken_ns <= limit_ns:
                return None
            return Hang(self._stage, taken_ns / SECOND, limit_ns / SECOND)

    def is_stale(self, received_ns: int) -> bool:
        """Whether something has waited behind overdue work for longer than the limit.

        Args:
            received_ns: when it came, by the same clock.
        """
        return self._stale_before_ns is not None and received_ns < self._stale_before_ns

    def _limit_now_ns(self) -> int:
        if not self._limit_ns or not self._durations_ns:
            return self._limit_ns
        return max(self._limit_ns, SLOW_FACTOR * median_low(self._durations_ns))
