# SPDX-License-Identifier: Apache-2.0
"""Holds a drive back to simulated time."""

from __future__ import annotations

import threading
import time


class Pace:
    """Makes up for one late set, not for more.

    Args:
        rate_hz: sets per simulated second.
        max_real_time_factor: simulated seconds per second at most; 0: no limit.
    """

    def __init__(self, rate_hz: float, max_real_time_factor: float) -> None:
        factor = max_real_time_factor
        self._period_s = 1.0 / (rate_hz * factor) if factor > 0.0 else 0.0
        self._due: float | None = None

    def wait(self, stop: threading.Event) -> None:
        """Until the next set is due, or stop is set."""
        now = time.monotonic()
        if self._due is None or now > self._due + self._period_s:
            self._due = now
        stop.wait(max(0.0, self._due - now))
        self._due += self._period_s
