# SPDX-License-Identifier: Apache-2.0
"""Whether the cameras look where calibration and ego pose say, for /diagnostics."""

from __future__ import annotations

import math
from threading import Lock

from bev_perception.residual_pose import NO_CORRECTION, PoseCorrection, PoseResidual
from bev_perception.ros.camera_status import Level, Status

LASTING_S = 10.0
"""Evidence behind an offset that is called lasting, seconds."""
LASTING_DEG, LASTING_M = 0.5, 0.1
"""Larger lasting offsets are warned of."""


class ResidualPoseMonitor:
    """Told of every set; may be called from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._residual: PoseResidual | None = None
        self._correction = NO_CORRECTION

    def measured(self, residual: PoseResidual | None, correction: PoseCorrection) -> None:
        """After a set; None where the parameter residual_pose is off."""
        with self._lock:
            self._residual, self._correction = residual, correction

    def statuses(self) -> list[Status]:
        """None where nothing is measured, else one."""
        with self._lock:
            residual, correction = self._residual, self._correction
        if residual is None:
            return []
        level, text = _judged(residual)
        values = _values(residual, correction)
        return [Status("residual pose", level, f"residual pose: {text}", values)]

    @property
    def level(self) -> Level:
        """Of the status; OK where there is none."""
        with self._lock:
            return Level.OK if self._residual is None else _judged(self._residual)[0]


def _judged(residual: PoseResidual) -> tuple[Level, str]:
    problems = [
        f"camera {name} is turned by {tilt.angle_deg:.1f} degrees (roll {tilt.roll_deg:+.1f}, "
        f"pitch {tilt.pitch_deg:+.1f}) against the other cameras and its calibration: has its "
        f"mount slipped? Fasten it, or calibrate it again"
        for name, tilt in residual.cameras.items()
        if tilt.is_slipped
    ]
    angle = math.hypot(residual.lasting_roll_deg, residual.lasting_pitch_deg)
    if residual.lasting_s >= LASTING_S and angle > LASTING_DEG:
        problems.append(
            f"for {residual.lasting_s:.0f} s all cameras together have been turned by roll "
            f"{residual.lasting_roll_deg:+.1f}, pitch {residual.lasting_pitch_deg:+.1f} degrees "
            f"against calibration and ego pose (positive pitch looks down): calibrate again, or "
            f"look for load, tyres, or a pose without attitude"
        )
    if residual.lasting_s >= LASTING_S and abs(residual.lasting_height_m) > LASTING_M:
        problems.append(
            f"the cameras are {abs(residual.lasting_height_m):.2f} m "
            f"{'higher' if residual.lasting_height_m > 0 else 'lower'} above the ground than the "
            f"calibration says: is base_link on the ground?"
        )
    if problems:
        return Level.WARN, "; ".join(problems)
    if not residual.is_attitude_known:
        return Level.OK, "too few vertical edges in sight; what was measured fades out"
    height = f", height {residual.height_m:+.2f} m" if residual.is_height_known else ""
    return (
        Level.OK,
        f"roll {residual.roll_deg:+.2f}, pitch {residual.pitch_deg:+.2f} degrees{height}",
    )


def _values(residual: PoseResidual, correction: PoseCorrection) -> dict[str, str]:
    values = {
        "roll_deg": f"{residual.roll_deg:+.2f}",
        "pitch_deg": f"{residual.pitch_deg:+.2f}",
        "height_m": f"{residual.height_m:+.3f}",
        "sigma_roll_deg": f"{residual.sigma_roll_deg:.2f}",
        "sigma_pitch_deg": f"{residual.sigma_pitch_deg:.2f}",
        "sigma_height_m": f"{residual.sigma_height_m:.3f}",
        "lasting_roll_deg": f"{residual.lasting_roll_deg:+.2f}",
        "lasting_pitch_deg": f"{residual.lasting_pitch_deg:+.2f}",
        "lasting_height_m": f"{residual.lasting_height_m:+.3f}",
        "lasting_s": f"{residual.lasting_s:.0f}",
        "corrected_roll_deg": f"{correction.roll_deg:+.2f}",
        "corrected_pitch_deg": f"{correction.pitch_deg:+.2f}",
        "corrected_height_m": f"{correction.height_m:+.3f}",
        "vertical edges": str(residual.num_edges),
        "ground tiles": str(residual.num_tiles),
    }
    for name, tilt in residual.cameras.items():
        if math.isfinite(tilt.sigma_deg):
            values[f"{name} roll_deg"] = f"{tilt.roll_deg:+.2f}"
            values[f"{name} pitch_deg"] = f"{tilt.pitch_deg:+.2f}"
            values[f"{name} sigma_deg"] = f"{tilt.sigma_deg:.2f}"
    return values
