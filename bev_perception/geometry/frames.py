# SPDX-License-Identifier: Apache-2.0
"""Axis conventions and the conversions between them, written once.

- body (REP-103): x forward, y left, z up, right-handed. base_link, map, odom.
- optical (REP-103): x right, y down, z forward, right-handed. ``*_optical_frame``.
- CARLA: x forward, y right, z up, left-handed, angles in degrees; its rotation matrix
  is Rz(yaw) Ry(-pitch) Rx(-roll), so a positive pitch looks up.

CARLA and body frames differ by a mirrored y axis. A pose is mirrored on both sides
(``M R M``), which changes the sign of y, pitch and yaw and keeps roll.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.geometry.boxes import ObjectBox
from bev_perception.geometry.transform import RigidTransform

BODY_T_OPTICAL = RigidTransform(
    np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]), np.zeros(3)
)
"""Takes optical points to a body frame at the same origin that looks the same way."""

OPTICAL_T_BODY = BODY_T_OPTICAL.inverse()

_MIRROR_Y = np.diag([1.0, -1.0, 1.0])


def points_from_carla(points: ArrayLike) -> NDArray[np.float64]:
    """CARLA points or vectors (..., 3), metres, to a body frame. Its own inverse."""
    return np.asarray(points, dtype=np.float64) @ _MIRROR_Y


def points_to_carla(points: ArrayLike) -> NDArray[np.float64]:
    """Body points or vectors (..., 3), metres, to CARLA."""
    return points_from_carla(points)


def pose_from_carla_matrix(matrix: ArrayLike) -> RigidTransform:
    """A left-handed (4, 4) ``carla.Transform.get_matrix()`` to a right-handed pose."""
    values = np.asarray(matrix, dtype=np.float64)
    return RigidTransform(
        _MIRROR_Y @ values[:3, :3] @ _MIRROR_Y, points_from_carla(values[:3, 3])
    )


def pose_to_carla_matrix(pose: RigidTransform) -> NDArray[np.float64]:
    """A right-handed pose to the left-handed (4, 4) matrix that CARLA would give."""
    matrix = np.eye(4)
    matrix[:3, :3] = _MIRROR_Y @ pose.rotation @ _MIRROR_Y
    matrix[:3, 3] = points_to_carla(pose.translation)
    return matrix


def pose_from_carla(
    location: ArrayLike, roll_deg: float, pitch_deg: float, yaw_deg: float
) -> RigidTransform:
    """CARLA location (3,) in metres and rotation in degrees to a right-handed pose."""
    return RigidTransform.from_euler(
        np.radians(roll_deg),
        -np.radians(pitch_deg),
        -np.radians(yaw_deg),
        points_from_carla(location),
    )


def pose_to_carla(
    pose: RigidTransform,
) -> tuple[NDArray[np.float64], tuple[float, float, float]]:
    """Right-handed pose to CARLA location (3,) and (roll, pitch, yaw) in degrees."""
    roll, pitch, yaw = np.degrees(pose.euler)
    return points_to_carla(pose.translation), (float(roll), float(-pitch), float(-yaw))


def box_from_carla(box: ObjectBox) -> ObjectBox:
    """A box whose pose numbers are CARLA's (y mirrored) to the body convention.

    The box's ``pose`` must have been built with pose_from_carla_matrix or pose_from_carla;
    this function mirrors what those do not know of: the velocity. Size has no handedness.
    """
    return box.with_velocity(points_from_carla(box.velocity))


def levelled(world_T_base: RigidTransform) -> RigidTransform:
    """``level_T_base``: takes base_link points to the same origin and heading, gravity down.

    The world's z axis must point up (map and odom of REP-105). Levelling removes roll
    and pitch alone, so a flat world gives the identity.
    """
    heading = RigidTransform.from_euler(yaw=world_T_base.yaw)
    return RigidTransform(heading.rotation.T @ world_T_base.rotation, np.zeros(3))
