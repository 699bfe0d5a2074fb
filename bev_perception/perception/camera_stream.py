# SPDX-License-Identifier: Apache-2.0
"""What the synchroniser knows about one camera."""

from __future__ import annotations

import math
from collections import deque
from typing import Generic

from bev_perception.perception.synchronized_set import Frame

SILENT_SETS = 3
"""Sets in a row that must have timed out without a camera before it counts as silent."""

SILENT_TIMEOUTS = 3
"""Timeouts, in the stamps of those sets, that must have passed as well."""

STEADY_FRAMES = 16
"""Even intervals in a row after which a camera counts as steady: losses do not look like a pace."""

_INTERVALS_KEPT = 8
_UNEVEN, _ADAPTED = 0.25, 0.1


class CameraStream(Generic[Frame]):
    """Frames of one camera that wait, the pace at which they come, and the sets it missed."""

    def __init__(self) -> None:
        self.queue: deque[Frame] = deque()
        self.newest_ns: int | None = None
        self._before_ns: int | None = None
        self.last_arrival = 0
        self._intervals_ns: deque[int] = deque(maxlen=_INTERVALS_KEPT)
        self._pace_ns, self._steady = 0.0, 0
        self._missed_sets = 0
        self._missing_since_ns = 0

    @property
    def head_ns(self) -> int:
        """Stamp of the frame that waits longest."""
        return self.queue[0].stamp_ns

    @property
    def next_ns(self) -> float:
        """Stamp of the frame behind the head; the earliest to expect if it has not come."""
        if len(self.queue) > 1:
            return self.queue[1].stamp_ns
        return self.head_ns + min(self._intervals_ns, default=math.inf)

    @property
    def pace_ns(self) -> float | None:
        """Period of a camera that has come steadily for a while, nanoseconds; else None."""
        return self._pace_ns if self._steady >= STEADY_FRAMES else None

    def _note_interval(self, interval_ns: int) -> None:
        self._intervals_ns.append(interval_ns)
        if abs(interval_ns - self._pace_ns) > _UNEVEN * self._pace_ns:
            self._pace_ns, self._steady = float(interval_ns), 0
            return
        self._pace_ns += _ADAPTED * (interval_ns - self._pace_ns)
        self._steady += 1

    def note_stamp(self, stamp_ns: int) -> None:
        """A frame came, whatever becomes of it."""
        if self.newest_ns is not None and stamp_ns <= self.newest_ns:
            return
        if self.newest_ns is not None:
            self._note_interval(stamp_ns - self.newest_ns)
        self._before_ns, self.newest_ns = self.newest_ns, stamp_ns

    def take_back(self, stamp_ns: int) -> Frame | None:
        """Takes the newest frame out where it was an odd one, stamped ahead of its time.

        That is, where it waits still, and the next one goes on from the one before it.

        Args:
            stamp_ns: of the next one.
        """
        before_ns = self._before_ns
        if before_ns is None or stamp_ns <= before_ns or not self.queue:
            return None
        if self.queue[-1].stamp_ns != self.newest_ns:
            return None
        self.newest_ns, self._before_ns = before_ns, None
        self._intervals_ns.pop()
        return self.queue.pop()

    def restart(self) -> list[Frame]:
        """The camera's stamps begin anew; gives what waited of before."""
        waited = list(self.queue)
        self.queue.clear()
        self.newest_ns = self._before_ns = None
        return waited

    def note_missed(self, anchor_ns: int) -> None:
        """A set was waited for until its timeout and had to go without this camera."""
        if self._missed_sets == 0:
            self._missing_since_ns = anchor_ns
        self._missed_sets += 1

    def note_back(self) -> None:
        """The camera sends in time, or would have if it had been waited for."""
        self._missed_sets = 0

    def is_silent(self, anchor_ns: int, timeout_ns: int) -> bool:
        """Whether a set of that anchor need not wait for this camera."""
        return (
            self._missed_sets >= SILENT_SETS
            and anchor_ns - self._missing_since_ns > SILENT_TIMEOUTS * timeout_ns
        )
