# SPDX-License-Identifier: Apache-2.0
"""Which of the measured errors are taken out of the lift, and when."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from bev_perception.geometry import Rig, RigidTransform
from bev_perception.residual_pose.residual import PoseResidual

ON_DEG, OFF_DEG = 0.3, 0.15
"""Smaller angles than the first are left alone; a correction ends below the second."""
ON_M, OFF_M = 0.06, 0.03
CERTAIN = 2.5
"""Standard deviations by which an error must exceed zero for a correction to begin."""
HOLD_DEG, HOLD_M = 0.08, 0.015
"""A correction is kept until the estimate differs by more, for every other one needs new tables."""
_LATTICE_DEG, _LATTICE_M = 0.02, 0.005


@dataclass(frozen=True)
class PoseCorrection:
    """What takes the told rig to the one that images show. Hashable, for tables to be kept by.

    Attributes:
        roll_deg, pitch_deg, height_m: of the whole rig, about base_link's axes.
        cameras: (name, roll_deg, pitch_deg) of cameras whose mounts have slipped, each turned
            about its own centre before the whole rig is.
    """

    roll_deg: float = 0.0
    pitch_deg: float = 0.0
    height_m: float = 0.0
    cameras: tuple[tuple[str, float, float], ...] = ()

    def applied(self, rig: Rig) -> Rig:
        """The rig, corrected."""
        if self == NO_CORRECTION:
            return rig
        entries = dict(rig.cameras)
        for name, roll_deg, pitch_deg in self.cameras:
            pose = entries[name].base_T_camera
            turn = RigidTransform.from_euler(math.radians(roll_deg), math.radians(pitch_deg))
            pose = RigidTransform(turn.rotation @ pose.rotation, pose.translation)
            entries[name] = replace(entries[name], base_T_camera=pose)
        return Rig(entries).moved(self.true_T_told)

    @property
    def true_T_told(self) -> RigidTransform:
        """Of everything on the vehicle, base_link as it is from base_link as it is told."""
        roll, pitch = math.radians(self.roll_deg), math.radians(self.pitch_deg)
        return RigidTransform.from_euler(roll, pitch, 0.0, (0.0, 0.0, self.height_m))


NO_CORRECTION = PoseCorrection()


def next_correction(last: PoseCorrection, residual: PoseResidual) -> PoseCorrection:
    """The correction to use from now on: the last one, unless the estimate clearly differs.

    Args:
        last: in use.
        residual: the newest estimate, which goes to zero by itself where evidence is missing.
    """
    roll_deg, pitch_deg = _next_angles(
        (last.roll_deg, last.pitch_deg),
        (residual.roll_deg, residual.pitch_deg),
        max(residual.sigma_roll_deg, residual.sigma_pitch_deg),
    )
    height_m = _next_height(last.height_m, residual.height_m, residual.sigma_height_m)
    old = {name: (roll, pitch) for name, roll, pitch in last.cameras}
    cameras = tuple(
        (name, *_next_angles(old.get(name, (0.0, 0.0)), (tilt.roll_deg, tilt.pitch_deg), 0.0))
        for name, tilt in residual.cameras.items()
        if tilt.is_slipped
    )
    return PoseCorrection(roll_deg, pitch_deg, height_m, cameras)


def _next_angles(
    last: tuple[float, float], measured: tuple[float, float], sigma: float
) -> tuple[float, float]:
    size = math.hypot(*measured)
    if size < (OFF_DEG if any(last) else max(ON_DEG, CERTAIN * sigma)):
        return 0.0, 0.0
    if any(last) and math.dist(last, measured) <= HOLD_DEG:
        return last
    return _settled(measured[0], _LATTICE_DEG), _settled(measured[1], _LATTICE_DEG)


def _next_height(last: float, measured: float, sigma: float) -> float:
    if abs(measured) < (OFF_M if last else max(ON_M, CERTAIN * sigma)):
        return 0.0
    return last if last and abs(last - measured) <= HOLD_M else _settled(measured, _LATTICE_M)


def _settled(value: float, step: float) -> float:
    return round(round(value / step) * step, 6)
