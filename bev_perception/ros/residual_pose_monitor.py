# SPDX-License-Identifier: Apache-2.0
"""Whether the cameras look where calibration and ego pose say, for /diagnostics."""

from __future__ import annotations

import math
from threading import Lock

from bev_perception.residual_pose import NO_CORRECTION, PoseCorrection, PoseResidual
from bev_perception.residual_pose.sentences import described, problems
from bev_perception.ros.camera_status import Level, Status


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
    found = problems(residual)
    return (Level.WARN, "; ".join(found)) if found else (Level.OK, described(residual))


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
