# SPDX-License-Identifier: Apache-2.0
"""How long to wait before a process that has died is started again."""

from __future__ import annotations

HEALTHY_S = 5.0
"""A process that was up for so long has not died of its start."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
ATTEMPTS = 3


class RestartPace:
    """Nothing after a good life, ever longer pauses while one short life follows another.

    Args:
        healthy_s: a life is good that was up for so long.
        first_pause_s: after the second short life; doubled after each one more.
        longest_pause_s: at most.
        attempts: short lives after which it is given up, if none ever came up.
    """

    def __init__(
        self,
        healthy_s: float = HEALTHY_S,
        first_pause_s: float = FIRST_PAUSE_S,
        longest_pause_s: float = LONGEST_PAUSE_S,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._healthy_s = healthy_s
        self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._attempts = attempts
        self._has_been_up = False
        self._num_short = 0

    def pause_s(self, up_s: float | None) -> float | None:
        """Seconds to wait now that a life has ended; None to give up.

        Args:
            up_s: how long it was up; None where it never came so far.
        """
        self._has_been_up |= up_s is not None
        if up_s is not None and up_s >= self._healthy_s:
            self._num_short = 0
            return 0.0
        self._num_short += 1
        if not self._has_been_up and self._num_short >= self._attempts:
            return None
        if self._num_short == 1:
            return 0.0
        doublings = min(self._num_short - 2, 30)
        return min(self._first_pause_s * 2**doublings, self._longest_pause_s)
