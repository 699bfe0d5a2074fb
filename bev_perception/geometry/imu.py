# SPDX-License-Identifier: Apache-2.0
"""What an inertial measurement unit says, and attitudes from the direction of up."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.transform import RigidTransform

GRAVITY = 9.81
"""Metres per second squared; it differs by less than 0.03 over the earth."""


@dataclass(frozen=True, eq=False)
class ImuSample:
    """One measurement, in the axes of the IMU's frame.

    Attributes:
        stamp_ns: of the measurement.
        frame_id: the IMU's frame.
        angular_velocity: (3,) radians per second.
        specific_force: (3,) metres per second squared: acceleration minus gravity, so at rest it
            is GRAVITY long and points up.
    """

    stamp_ns: int
    frame_id: str
    angular_velocity: NDArray[np.float64]
    specific_force: NDArray[np.float64]


def attitude_of(up: NDArray[np.float64]) -> RigidTransform:
    """``level_T_base`` (see frames.levelled) of the unit vector (3,) to above in base_link."""
    pitch = -math.asin(min(1.0, max(-1.0, float(up[0]))))
    return RigidTransform.from_euler(math.atan2(float(up[1]), float(up[2])), pitch)
