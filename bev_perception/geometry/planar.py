# SPDX-License-Identifier: Apache-2.0
"""Motion in the plane: poses of levelled frames, whose z axes all point against gravity."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.transform import RigidTransform


@dataclass(frozen=True)
class PlanarPose:
    """``a_T_b`` of SE(2): p_a = R(yaw) p_b + (x, y).

    Attributes:
        x, y: metres.
        yaw: radians, counter-clockwise.
    """

    x: float = 0.0
    y: float = 0.0
    yaw: float = 0.0

    @classmethod
    def of(cls, a_T_b: RigidTransform) -> PlanarPose:
        """What a transform does in the plane; all that it does but for z where both are level."""
        x, y, _ = a_T_b.translation.tolist()
        return cls(x, y, float(a_T_b.yaw))

    def inverse(self) -> PlanarPose:
        """``b_T_a``."""
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        return PlanarPose(
            -cos * self.x - sin * self.y, sin * self.x - cos * self.y, _wrapped(-self.yaw)
        )

    def __matmul__(self, other: PlanarPose) -> PlanarPose:
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        return PlanarPose(
            self.x + cos * other.x - sin * other.y,
            self.y + sin * other.x + cos * other.y,
            _wrapped(self.yaw + other.yaw),
        )

    @property
    def distance(self) -> float:
        """Metres between both origins."""
        return math.hypot(self.x, self.y)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(2, 3): rotation and translation."""
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        return np.array([[cos, -sin, self.x], [sin, cos, self.y]])


@dataclass(frozen=True)
class EgoMoment:
    """When and where the vehicle was.

    Attributes:
        stamp_ns: nanoseconds.
        world_T_level: pose of levelled base_link in a world at rest.
        world_frame: which world that is; poses in two of them have nothing to do with each other.
    """

    stamp_ns: int
    world_T_level: PlanarPose
    world_frame: str = ""


def _wrapped(angle: float) -> float:
    """The same angle within (-pi, pi]."""
    return math.atan2(math.sin(angle), math.cos(angle))
