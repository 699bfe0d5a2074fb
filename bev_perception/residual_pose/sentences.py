# SPDX-License-Identifier: Apache-2.0
"""Residual poses in words."""

from __future__ import annotations

import math

from bev_perception.residual_pose.residual import PoseResidual

LASTING_S = 10.0
"""Evidence behind an offset that is called lasting, seconds."""
LASTING_DEG, LASTING_M = 0.5, 0.1
"""Larger lasting offsets are a fault."""


def described(residual: PoseResidual) -> str:
    """What is known at the moment, for people."""
    if not residual.is_attitude_known:
        return "too few vertical edges in sight; what was measured fades out"
    height = f", height {residual.height_m:+.2f} m" if residual.is_height_known else ""
    return f"roll {residual.roll_deg:+.2f}, pitch {residual.pitch_deg:+.2f} degrees{height}"


def problems(residual: PoseResidual) -> list[str]:
    """What asks for somebody's attention: slipped mounts and offsets that last."""
    found = [
        f"camera {name} is turned by {tilt.angle_deg:.1f} degrees (roll {tilt.roll_deg:+.1f}, "
        f"pitch {tilt.pitch_deg:+.1f}) against the other cameras and its calibration: has its "
        f"mount slipped? Fasten it, or calibrate it again"
        for name, tilt in residual.cameras.items()
        if tilt.is_slipped
    ]
    if residual.lasting_s < LASTING_S:
        return found
    if math.hypot(residual.lasting_roll_deg, residual.lasting_pitch_deg) > LASTING_DEG:
        found.append(
            f"for {residual.lasting_s:.0f} s all cameras together have been turned by roll "
            f"{residual.lasting_roll_deg:+.1f}, pitch {residual.lasting_pitch_deg:+.1f} degrees "
            f"against calibration and ego pose (positive pitch looks down): calibrate again, or "
            f"look for load, tyres, or a pose without attitude"
        )
    if abs(residual.lasting_height_m) > LASTING_M:
        found.append(
            f"the cameras are {abs(residual.lasting_height_m):.2f} m "
            f"{'higher' if residual.lasting_height_m > 0 else 'lower'} above the ground than the "
            f"calibration says: is base_link on the ground?"
        )
    return found
