# SPDX-License-Identifier: Apache-2.0
"""The part of an estimate that lasts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

AVERAGED_S = 20.0


class LastingAverage:
    """Average of roll, pitch and height over the last AVERAGED_S seconds with evidence.

    Attributes:
        value: (3,) in the estimate's units.
    """

    def __init__(self) -> None:
        self.value = np.zeros(3)
        self._seconds = np.zeros(3)

    @property
    def seconds(self) -> float:
        """Of evidence of roll and pitch so far."""
        return float(self._seconds[0])

    def update(
        self, state: NDArray[np.float64], known: NDArray[np.bool_], elapsed_s: float
    ) -> None:
        """Takes an estimate (3,) into account that has held for some seconds, where known (3,)."""
        self._seconds += np.where(known, elapsed_s, 0.0)
        gain = elapsed_s / np.maximum(np.minimum(self._seconds, AVERAGED_S), elapsed_s + 1e-9)
        self.value = self.value + np.where(known, gain * (state - self.value), 0.0)
