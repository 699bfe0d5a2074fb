# SPDX-License-Identifier: Apache-2.0
"""How long something that went wrong is still told of after it was last seen."""

from __future__ import annotations

from collections import deque

from bev_perception.ros.event_stream import SECOND

CLEAR_AFTER_S = 0.6
"""For what was there all the time: once it is away so long, it is over."""

LONGEST_S = 3.0
_FACTOR, _RECURRENCES = 3, 2
_GAP_S, _PAUSE_S = 0.35, 2.0


class Lingering:
    """What comes and goes is told of without a flicker, what ends for good is soon forgotten.

    Args:
        clear_after_s: least time that it is told of; several times the gaps where it recurs
            with gaps of up to two seconds.
        longest_s: most time; clear_after_s where gaps mean nothing.
    """

    def __init__(self, clear_after_s: float = CLEAR_AFTER_S, longest_s: float = LONGEST_S) -> None:
        self._longest_ns = int(longest_s * SECOND)
        self._clear_ns = int(clear_after_s * SECOND)
        self._seen_ns: int | None = None
        self._gaps_ns: deque[int] = deque(maxlen=3)

    def note(self, now_ns: int) -> None:
        """It is there now; steady time, nanoseconds."""
        if self._seen_ns is not None:
            gap_ns = now_ns - self._seen_ns
            if gap_ns > _PAUSE_S * SECOND or gap_ns < 0:
                self._gaps_ns.clear()
            elif gap_ns > _GAP_S * SECOND:
                self._gaps_ns.append(gap_ns)
        self._seen_ns = now_ns

    def holds(self, now_ns: int) -> bool:
        """Whether it is still told of."""
        if self._seen_ns is None:
            return False
        recurs = len(self._gaps_ns) >= _RECURRENCES
        recurring_ns = _FACTOR * max(self._gaps_ns) if recurs else 0
        hold_ns = max(self._clear_ns, min(recurring_ns, self._longest_ns))
        return now_ns - self._seen_ns < hold_ns
