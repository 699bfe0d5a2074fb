# SPDX-License-Identifier: Apache-2.0
"""How far a mounting is from explaining what images show.

Three things must hold in images of a camera on a moving vehicle: vertical edges point to the
zenith; points that stand still move within their epipolar planes; ground moves as a plane does.
"""

from __future__ import annotations

import math
from dataclasses import replace
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bev_perception.doctor.geometry_evidence import Evidence
from bev_perception.doctor.geometry_ground import MIN_MOTION_M
from bev_perception.geometry import RigCamera, RigidTransform

Vector = NDArray[np.float64]


class Error(IntEnum):
    """Places of a mounting's errors in a (6,) vector: what the camera really is, beyond the
    calibration.

    YAW to the left, PITCH downwards, ROLL clockwise as the camera looks, in radians; HEIGHT
    upwards in metres; FOCAL the logarithm of the ratio of focal lengths; KERB not an error of the
    camera, but the height in metres of a second level of ground, such as a pavement.
    """

    YAW = 0
    PITCH = 1
    ROLL = 2
    HEIGHT = 3
    FOCAL = 4
    KERB = 5


class Residuals(NamedTuple):
    """What is left unexplained.

    Attributes:
        vertical: (n,) degrees between edges and the vertical.
        epipolar: (n,) pixels between corners and their epipolar lines (Sampson's distance).
        ground: (n, 2) pixels between where ground is seen and where it should be.
    """

    vertical: Vector
    epipolar: Vector
    ground: Vector


def corrected(base_T_camera: RigidTransform, error: Vector) -> RigidTransform:
    """Where a camera really sits whose calibration has this error."""
    level = _level(base_T_camera)
    turn = RigidTransform.from_euler(
        float(error[Error.ROLL]), float(error[Error.PITCH]), float(error[Error.YAW])
    ).rotation
    return RigidTransform(
        level @ turn @ level.T @ base_T_camera.rotation,
        base_T_camera.translation + np.array([0.0, 0.0, error[Error.HEIGHT]]),
    )


@lru_cache(maxsize=64)
def _level(base_T_camera: RigidTransform) -> Vector:
    """(3, 3) from the levelled frame that looks where the camera looks to base_link."""
    forward = base_T_camera.rotation[:, 2]
    return RigidTransform.from_euler(0.0, 0.0, math.atan2(forward[1], forward[0])).rotation


def residuals(
    seen: Evidence, entry: RigCamera, error: Vector, on_kerb: NDArray[np.bool_] | None = None
) -> Residuals:
    """What remains unexplained when the calibration has this error.

    Args:
        seen: evidence of one pair, m ground matches.
        entry: the calibration.
        error: (6,), see Error.
        on_kerb: (m,) which ground matches lie on the second level; default those that fit it
            better.
    """
    mounting = corrected(entry.base_T_camera, error)
    scale = math.exp(float(error[Error.FOCAL]))
    focal_px = entry.camera.fx * scale
    stretch = np.array([1.0 / scale, 1.0 / scale, 1.0])
    planes = seen.verticals / stretch
    planes /= np.linalg.norm(planes, axis=1, keepdims=True)
    vertical = np.degrees(
        np.arcsin(np.clip(planes @ (mounting.rotation.T @ seen.up_base), -1.0, 1.0))
    )
    if seen.second_T_first is None:
        return Residuals(vertical, np.zeros(0), np.zeros((0, 2)))
    camera_T_base = mounting.inverse()
    motion = camera_T_base @ seen.second_T_first @ mounting
    length = float(np.linalg.norm(motion.translation))
    if length < MIN_MOTION_M:
        return Residuals(vertical, np.zeros(0), np.zeros((0, 2)))
    epipolar = focal_px * _sampson(
        seen.corners.first * stretch, seen.corners.second * stretch, motion, length
    )
    ground = np.zeros((0, 2))
    if len(seen.ground.first):
        arguments = (seen, mounting, stretch, camera_T_base)
        ground = focal_px * _ground(*arguments, 0.0)
        kerb = float(error[Error.KERB])
        if kerb:
            raised = focal_px * _ground(*arguments, kerb)
            if on_kerb is None:
                on_kerb = (raised**2).sum(axis=1) < (ground**2).sum(axis=1)
            ground = np.where(on_kerb[:, None], raised, ground)
    return Residuals(vertical, epipolar, ground)


def kerb_choice(seen: Evidence, entry: RigCamera, error: Vector) -> NDArray[np.bool_] | None:
    """(m,) which ground matches fit the second level better; None where there is none."""
    if not error[Error.KERB]:
        return None
    street = error.copy()
    street[Error.KERB] = 0.0
    everywhere = np.ones(len(seen.ground.first), bool)
    low = residuals(seen, entry, street).ground
    high = residuals(seen, entry, error, everywhere).ground
    return (high**2).sum(axis=1) < (low**2).sum(axis=1)


def _sampson(first: Vector, second: Vector, motion: RigidTransform, length: float) -> Vector:
    """First-order distance to the epipolar constraint (Hartley and Zisserman, 11.4.3)."""
    x, y, z = motion.translation / length
    essential = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]) @ motion.rotation
    lines, back = first @ essential.T, second @ essential
    slope = np.sqrt((lines[:, :2] ** 2).sum(axis=1) + (back[:, :2] ** 2).sum(axis=1))
    return (second * lines).sum(axis=1) / np.maximum(slope, 1e-9)


def _ground(
    seen: Evidence,
    mounting: RigidTransform,
    stretch: Vector,
    camera_T_base: RigidTransform,
    level_m: float,
) -> Vector:
    """(m, 2) errors on the plane z = 1 of ground that lies level_m above the road."""
    assert seen.second_T_first is not None
    rays = mounting.rotate(seen.ground.first * stretch)
    reach = (mounting.translation[2] - level_m) / np.maximum(-rays[:, 2], 1e-3)
    points = mounting.translation + rays * reach[:, None]
    moved = camera_T_base.apply(seen.second_T_first.apply(points))
    expected = moved[:, :2] / np.maximum(moved[:, 2:], 1e-2)
    return expected - (seen.ground.second * stretch)[:, :2]


def mended(entry: RigCamera, error: Vector) -> RigCamera:
    """The camera as it really is, whose calibration has this error."""
    matrix = entry.camera.matrix.copy()
    matrix[0, 0] *= math.exp(float(error[Error.FOCAL]))
    matrix[1, 1] *= math.exp(float(error[Error.FOCAL]))
    return replace(
        entry,
        camera=replace(entry.camera, matrix=matrix),
        base_T_camera=corrected(entry.base_T_camera, error),
    )
