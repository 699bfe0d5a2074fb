# SPDX-License-Identifier: Apache-2.0
"""When a recorded moment is due while a bag is played."""

from __future__ import annotations

from dataclasses import dataclass

_SECOND = 1_000_000_000


@dataclass(frozen=True)
class PlaybackPace:
    """Maps times of recording to the monotonic clock, without drift.

    Attributes:
        start_ns: time of recording at which every loop begins.
        stop_ns: time of recording at which it ends.
        rate: recorded seconds per second.
        begun_s: time.monotonic() at the beginning of the first loop.
    """

    start_ns: int
    stop_ns: int
    rate: float
    begun_s: float

    def due_s(self, loop: int, log_ns: int) -> float:
        """time.monotonic() at which a message is to be published."""
        played_ns = loop * (self.stop_ns - self.start_ns) + log_ns - self.start_ns
        return self.begun_s + played_ns / _SECOND / self.rate

    def clock_ns(self, loop: int, now_s: float) -> int:
        """What /clock says, by recording: within the loop's range."""
        played_ns = int((now_s - self.begun_s) * self.rate * _SECOND)
        within_ns = played_ns - loop * (self.stop_ns - self.start_ns)
        return self.start_ns + min(max(within_ns, 0), self.stop_ns - self.start_ns)
