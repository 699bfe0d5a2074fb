# SPDX-License-Identifier: Apache-2.0
"""Parts errors of mountings into what all cameras share, the vehicle's, and each one's own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.doctor.geometry_mounting import MountingEstimate
from bev_perception.doctor.geometry_residuals import Error
from bev_perception.geometry import Rig

Vector = NDArray[np.float64]

MIN_CAMERAS = 3
_LEAST_TURN = math.radians(1.0)
_LEAST_HEIGHT_M = 0.1
_ALIKE = 0.5
_ALIKE_HEIGHT_M = 0.05
_MOST = 0.7


@dataclass(frozen=True, eq=False)
class SharedError:
    """What all cameras have in common.

    Attributes:
        turn: (3,) roll, pitch and yaw in radians about x, y and z of base_link, by which all
            cameras are really turned beyond their calibration; 0 where they share nothing.
        height: metres by which all are really higher.
        cameras: how many were compared.
    """

    turn: Vector
    height: float
    cameras: int


def shared_error(estimates: Mapping[str, MountingEstimate], rig: Rig) -> SharedError:
    """The part of the errors that at least seven tenths of three or more cameras agree on."""
    turn, height = np.zeros(3), 0.0
    if len(estimates) < MIN_CAMERAS:
        return SharedError(turn, height, len(estimates))
    turns = np.array([in_base(rig, name, each.error) for name, each in estimates.items()])
    for axis in range(3):
        usual = float(np.median(turns[:, axis]))
        alike = abs(turns[:, axis] - usual) < _ALIKE * abs(usual)
        if abs(usual) > _LEAST_TURN and alike.mean() >= _MOST:
            turn[axis] = usual
    heights = np.array([each.error[Error.HEIGHT] for each in estimates.values()])
    highest = float(np.median(heights))
    alike = abs(heights - highest) < max(_ALIKE_HEIGHT_M, _ALIKE * abs(highest))
    if abs(highest) > _LEAST_HEIGHT_M and alike.mean() >= _MOST:
        height = highest
    return SharedError(turn, height, len(estimates))


def own_error(rig: Rig, name: str, error: Vector, shared: SharedError) -> Vector:
    """(6,) what remains of a camera's error without the shared part."""
    own = error.copy()
    rest = in_base(rig, name, error) - shared.turn
    cos, sin = _heading(rig, name)
    own[Error.ROLL] = cos * rest[0] + sin * rest[1]
    own[Error.PITCH] = -sin * rest[0] + cos * rest[1]
    own[Error.YAW] = rest[2]
    own[Error.HEIGHT] -= shared.height
    return own


def in_base(rig: Rig, name: str, error: Vector) -> Vector:
    """(3,) small turn about base_link's axes of an error about those of the camera's view."""
    cos, sin = _heading(rig, name)
    roll, pitch, yaw = error[Error.ROLL], error[Error.PITCH], error[Error.YAW]
    return np.array([cos * roll - sin * pitch, sin * roll + cos * pitch, yaw])


def _heading(rig: Rig, name: str) -> tuple[float, float]:
    forward = rig[name].base_T_camera.rotation[:2, 2]
    length = max(float(np.hypot(*forward)), 1e-9)
    return float(forward[0]) / length, float(forward[1]) / length
