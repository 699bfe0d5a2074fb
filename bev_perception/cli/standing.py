# SPDX-License-Identifier: Apache-2.0
"""Is the ego vehicle driving, waiting, or stuck?"""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import RigidTransform

MOVED_M = 0.5


class Motion(Enum):
    """What to do with a set."""

    KEEP = "keep"
    SKIP = "skip"
    STUCK = "stuck"


class StandingWatch:
    """Watches ego poses; sets of a long halt are all alike.

    Args:
        keep_s: sets within this time of a halt are kept.
        stuck_s: a longer halt is a vehicle that is stuck.

    Attributes:
        distance_m: driven so far.
    """

    def __init__(self, keep_s: float, stuck_s: float) -> None:
        self._keep_ns, self._stuck_ns = round(keep_s * 1e9), round(stuck_s * 1e9)
        self._place: NDArray[np.float64] | None = None
        self._since_ns = 0
        self.distance_m = 0.0

    def judge(self, stamp_ns: int, world_T_base: RigidTransform) -> Motion:
        """What to do with the set of this pose."""
        place = world_T_base.translation
        if self._place is None:
            self._place, self._since_ns = place, stamp_ns
        step = float(np.linalg.norm(place - self._place))
        if step > MOVED_M:
            self.distance_m += step
            self._place, self._since_ns = place, stamp_ns
        halt_ns = stamp_ns - self._since_ns
        if halt_ns > self._stuck_ns:
            return Motion.STUCK
        return Motion.KEEP if halt_ns <= self._keep_ns else Motion.SKIP
