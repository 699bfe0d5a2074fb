# SPDX-License-Identifier: Apache-2.0
"""The focal length that a known defect of CARLA's native ROS 2 interface publishes."""

from __future__ import annotations

import math


def tan_of_degrees(width: int, fov_deg: float) -> float:
    """w / (2 tan(fov) pi / 360) with fov in degrees, pixels; often negative.

    What some releases send in place of w / (2 tan(fov / 2)); see carla-simulator/carla pull
    request 9462.
    """
    return width / (2.0 * math.tan(fov_deg) * math.pi / 360.0)
