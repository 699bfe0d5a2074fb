# SPDX-License-Identifier: Apache-2.0
"""Leaves out what repeats itself while the vehicle stands."""

from __future__ import annotations

import numpy as np

from bev_perception.geometry import RigidTransform

NANOSECONDS = 1_000_000_000


class StandingFilter:
    """Decides by the distance driven which sets to keep.

    A set is kept once the vehicle is min_distance_m away from where it was at the last kept
    set. While it stands, others may move, so one set is kept every interval_s. Sets without
    an ego pose are all kept.

    Args:
        min_distance_m: 0 keeps all.
        interval_s: 0 keeps none while the vehicle stands.
    """

    def __init__(self, min_distance_m: float, interval_s: float) -> None:
        self._min_distance_m = min_distance_m
        self._interval_ns = interval_s * NANOSECONDS
        self._kept: tuple[int, RigidTransform] | None = None

    def wants(self, stamp_ns: int, world_T_base: RigidTransform | None) -> bool:
        """Whether a set of this stamp and pose tells something new; sets come in order."""
        if world_T_base is None or self._kept is None:
            return True
        since_ns, pose = self._kept
        moved = float(np.linalg.norm(world_T_base.translation - pose.translation))
        waited = 0 < self._interval_ns <= stamp_ns - since_ns
        return waited or moved >= self._min_distance_m

    def keep(self, stamp_ns: int, world_T_base: RigidTransform | None) -> None:
        """The set was kept: distance counts from it."""
        if world_T_base is not None:
            self._kept = stamp_ns, world_T_base
