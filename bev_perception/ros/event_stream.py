# SPDX-License-Identifier: Apache-2.0
"""What became of things that arrive one after the other: since the start and of late."""

from __future__ import annotations

from collections import Counter, deque
from itertools import pairwise
from statistics import median

SECOND = 1_000_000_000

_ARRIVALS_KEPT = 32


class EventStream:
    """Arrivals and counts by kind, in steady time that the caller gives.

    Args:
        window_s: how far back shares look, seconds.

    Attributes:
        now_ns: the time to which advance has brought it.
        totals: events by kind since the start; "received" are the arrivals.
        newest_ns: when the newest event of a kind was.
    """

    def __init__(self, window_s: float) -> None:
        self.now_ns = 0
        self.totals: Counter[str] = Counter()
        self.newest_ns: dict[str, int] = {}
        self._window_ns = int(window_s * SECOND)
        self._start_ns: int | None = None
        self._arrivals: deque[int] = deque(maxlen=_ARRIVALS_KEPT)
        self._window: deque[tuple[int, str, int]] = deque()
        self._recent: Counter[str] = Counter()

    def advance(self, now_ns: int) -> bool:
        """Goes on to now; False if time ran backwards, from where on all begins anew."""
        runs_on = now_ns >= self.now_ns
        if not runs_on:
            self._window.clear()
            self._recent.clear()
            self.newest_ns.clear()
            self._arrivals = deque([now_ns] * bool(self._arrivals), _ARRIVALS_KEPT)
        if self._start_ns is None or not runs_on:
            self._start_ns = now_ns
        self.now_ns = now_ns
        while self._window and now_ns - self._window[0][0] > self._window_ns:
            _, kind, count = self._window.popleft()
            self._recent[kind] -= count
        return runs_on

    def arrive(self) -> None:
        """Something came now."""
        self._arrivals.append(self.now_ns)
        self.count("received")

    def count(self, kind: str, count: int = 1) -> None:
        """So many were of a kind."""
        self.totals[kind] += count
        self.newest_ns[kind] = self.now_ns
        self._recent[kind] += count
        self._window.append((self.now_ns, kind, count))

    def recent(self, kind: str) -> int:
        """How many were of a kind within the window."""
        return self._recent[kind]

    def share(self, kind: str, min_received: int) -> float:
        """Of what came within the window, 0 to 1; 0 if that is fewer than min_received."""
        received = self._recent["received"]
        if received < max(1, min_received):
            return 0.0
        return min(1.0, self._recent[kind] / received)

    @property
    def age_s(self) -> float:
        """Seconds since the first advance."""
        return 0.0 if self._start_ns is None else (self.now_ns - self._start_ns) / SECOND

    @property
    def silent_s(self) -> float | None:
        """Seconds since the last arrival; None before the first."""
        return (self.now_ns - self._arrivals[-1]) / SECOND if self._arrivals else None

    @property
    def period_s(self) -> float | None:
        """Median of the last intervals; None before the second arrival."""
        intervals = [after - before for before, after in pairwise(self._arrivals)]
        return median(intervals) / SECOND if intervals else None

    @property
    def rate_hz(self) -> float:
        """Arrivals per second over the last ones, the silence since then included."""
        if len(self._arrivals) < 2:
            return 0.0
        silent_ns = self.now_ns - self._arrivals[-1]
        mean_ns = (self._arrivals[-1] - self._arrivals[0]) / (len(self._arrivals) - 1)
        elapsed_ns = self._arrivals[-1] - self._arrivals[0] + max(0.0, silent_ns - mean_ns)
        return (len(self._arrivals) - 1) * SECOND / elapsed_ns if elapsed_ns > 0 else 0.0
