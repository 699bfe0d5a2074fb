# SPDX-License-Identifier: Apache-2.0
"""Specific force and own acceleration of a vehicle over the same second, under the same weights."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TICK_S = 0.1
HALF_TICKS = 5
"""Ticks of half a window."""

_RISING = np.arange(HALF_TICKS) + 0.5
_TRIANGLE = np.concatenate([_RISING, _RISING[::-1]]) / HALF_TICKS**2


@dataclass(frozen=True, eq=False)
class WindowMean:
    """Means over a window, under a triangle.

    Attributes:
        force: (3,) specific force in the frame that the samples were given in.
        acceleration: (3,) of the place, in the world; None where places are missing.
        spread: standard deviation of the force over the window's ticks.
    """

    force: NDArray[np.float64]
    acceleration: NDArray[np.float64] | None
    spread: float


class ForceWindow:
    """The last second in ticks of a tenth."""

    def __init__(self) -> None:
        self._forces: deque[NDArray[np.float64]] = deque(maxlen=2 * HALF_TICKS)
        self._places: deque[tuple[float, NDArray[np.float64]] | None] = deque(
            maxlen=2 * HALF_TICKS + 1
        )
        self._now_s = 0.0
        self._elapsed_s = 0.0
        self._impulse = np.zeros(3)

    @property
    def tick_s(self) -> float:
        """How long the tick at hand has lasted."""
        return self._elapsed_s

    @property
    def is_due(self) -> bool:
        """Whether the tick at hand is over."""
        return self._elapsed_s >= TICK_S - 1e-3

    def add(self, elapsed_s: float, force: NDArray[np.float64]) -> None:
        """The mean force (3,) since the last call."""
        self._impulse += force * elapsed_s
        self._elapsed_s += elapsed_s

    def close(self, place: NDArray[np.float64] | None) -> WindowMean | None:
        """Ends a tick.

        Args:
            place: (3,) metres of the sensor in the world now, None where it is not known.

        Returns:
            The means of the window that ends now; None before the first one is full.
        """
        self._forces.append(self._impulse / self._elapsed_s)
        self._now_s += self._elapsed_s
        self._impulse, self._elapsed_s = np.zeros(3), 0.0
        self._places.append(None if place is None else (self._now_s, place))
        if len(self._forces) < 2 * HALF_TICKS:
            return None
        forces = np.stack(list(self._forces))
        spread = float(np.linalg.norm(forces.std(axis=0)))
        return WindowMean(_TRIANGLE @ forces, self._acceleration(), spread)

    def _acceleration(self) -> NDArray[np.float64] | None:
        if len(self._places) < 2 * HALF_TICKS + 1:
            return None
        first, middle, last = self._places[0], self._places[HALF_TICKS], self._places[-1]
        if first is None or middle is None or last is None:
            return None
        before_s, after_s = middle[0] - first[0], last[0] - middle[0]
        slopes = (last[1] - middle[1]) / after_s - (middle[1] - first[1]) / before_s
        return slopes * 2.0 / (before_s + after_s)
