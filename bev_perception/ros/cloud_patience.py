# SPDX-License-Identifier: Apache-2.0
"""Whether sets wait for their point cloud, or have waited in vain too often."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

PATIENCE = 3
"""After so many sets in a row that waited in vain none waits, until waiting would have helped."""

_REMEMBERED = 10


class CloudPatience:
    """Not safe for threads.

    A LiDAR whose clock is wrong, whose mounting nobody tells or whose clouds come too late sends
    as busily as a good one. So it is not its clouds that make sets wait again, but a cloud that
    one of the last sets would have got by waiting.

    Args:
        timeout_s: how long sets wait, seconds.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._in_vain = 0
        self._lacking: deque[tuple[int, float]] = deque(maxlen=_REMEMBERED)

    @property
    def wait_s(self) -> float:
        """How long the next set waits, seconds."""
        return self._timeout_s if self._in_vain < PATIENCE else 0.0

    def forget(self) -> None:
        """For a clock that was set back."""
        self._lacking.clear()

    def served(self) -> None:
        """A set has got its cloud."""
        self._in_vain = 0

    def lacked(self, stamp_ns: int, asked_s: float) -> None:
        """A set has got none; it asked at that steady time."""
        self._in_vain += 1
        self._lacking.append((stamp_ns, asked_s))

    def look(self, is_there: Callable[[int], bool], now_s: float) -> None:
        """Something has come; is_there says whether the set of a stamp has its cloud now."""
        if self._in_vain and any(
            now_s - asked_s <= self._timeout_s and is_there(stamp_ns)
            for stamp_ns, asked_s in self._lacking
        ):
            self._in_vain = 0
