# SPDX-License-Identifier: Apache-2.0
"""Axis conventions and the conversions between them, written once.

- body (REP-103): x forward, y left, z up, right-handed. base_link, map, odom.
- optical (REP-103): x right, y down, z forward, right-handed. ``*_optical_frame``.
- CARLA: x forward, y right, z up, left-handed, angles in degrees; its rotation matrix
  is Rz(yaw) Ry(-pitch) Rx(-roll), so a positive pitch looks up.

CARLA and body frames differ by a mirrored y axis. A pose is mirrored on both sides
(``M R M``), which changes the sign of y, pitch and yaw and keeps roll.

CARLA's camera sensor has its principal point in the middle of the image: w / 2 counted from
the image's left edge, which is (w - 1) / 2 where, as everywhere here, the first pixel's centre
is 0. Its ROS bridge publishes w / 2 all the same, half a pixel too far right and down. Build
such a camera with PinholeCamera.from_field_of_view(width, height, fov).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.geometry.boxes import ObjectBox
from bev_perception.geometry.transform import RigidTransform

BODY_T_OPTICAL = RigidTransform(
    np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]), np.zeros(3)
)
"""Takes optical points to a body frame at the same origin that looks the same way."""

OPTICAL_T_BODY = BODY_T_OPTICAL.inverse()
"""Inverse of BODY_T_OPTICAL."""

_MIRROR_Y = np.diag([1.0, -1.0, 1.0])


def points_from_carla(points: ArrayLike) -> NDArray[np.float64]:
    """CARLA points or vectors (..., 3), metres, to a body frame. Its own inverse."""
    return np.asarray(points, dtype=np.float64) @ _MIRROR_Y


def points_to_carla(points: ArrayLike) -> NDArray[np.float64]:
    """Body points or vectors (..., 3), metres, to CARLA."""
    return points_from_carla(points)


def pose_from_carla_matrix(matrix: ArrayLike) -> RigidTransform:
    """A left-handed (4, 4) ``carla.Transform.get_matrix()`` to a right-handed pose.

    Raises:
        TransformError: not a homogeneous matrix of a rigid motion.
    """
    mirror = np.diag([1.0, -1.0, 1.0, 1.0])
    return RigidTransform.from_matrix(mirror @ np.asarray(matrix, dtype=np.float64) @ mirror)


def pose_to_carla_matrix(pose: RigidTransform) -> NDArray[np.float64]:
    """A right-handed pose to the left-handed (4, 4) matrix that CARLA would give."""
    mirror = np.diag([1.0, -1.0, 1.0, 1.0])
    return mirror @ pose.matrix @ mirror


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


class CarlaBox(NamedTuple):
    """A box in CARLA's own values, ready for ``carla.BoundingBox`` and its transform.

    Attributes:
        location: (3,) metres, the cuboid's centre, y to the right.
        roll_deg, pitch_deg, yaw_deg: rotation; ``carla.Rotation`` takes pitch, yaw, roll.
        extent: (3,) metres, half of length, width and height.
        velocity: (3,) metres per second, y to the right.
    """

    location: NDArray[np.float64]
    roll_deg: float
    pitch_deg: float
    yaw_deg: float
    extent: NDArray[np.float64]
    velocity: NDArray[np.float64]


def box_from_carla(
    label: str,
    object_id: int,
    box: CarlaBox,
    world_T_actor: RigidTransform | None = None,
    visibility: float = float("nan"),
) -> ObjectBox:
    """CARLA's box to an object in the right-handed world.

    Args:
        label: one of OBJECT_CLASSES.
        object_id: CARLA's actor id.
        box: the cuboid. ``carla.Actor.bounding_box`` is relative to its actor,
            ``World.get_level_bbs`` to the world; velocities are always the world's.
        world_T_actor: pose of the actor (see pose_from_carla) when the box is relative
            to it; None when the box is the world's.
        visibility: share of the object that cameras see.

    Raises:
        BevError: the label is unknown or a half size is not positive (CARLA gives zero
            extents for some two-wheelers).
    """
    pose = pose_from_carla(box.location, box.roll_deg, box.pitch_deg, box.yaw_deg)
    if world_T_actor is not None:
        pose = world_T_actor @ pose
    return ObjectBox(
        label,
        object_id,
        pose,
        2.0 * np.asarray(box.extent, dtype=np.float64),
        points_from_carla(box.velocity),
        visibility,
    )


def box_to_carla(box: ObjectBox, world_T_actor: RigidTransform | None = None) -> CarlaBox:
    """An object in the right-handed world to CARLA's box; inverse of box_from_carla."""
    pose = box.pose if world_T_actor is None else world_T_actor.inverse() @ box.pose
    location, (roll, pitch, yaw) = pose_to_carla(pose)
    return CarlaBox(location, roll, pitch, yaw, box.size / 2.0, points_to_carla(box.velocity))


def levelled(world_T_base: RigidTransform) -> RigidTransform:
    """``level_T_base``: takes base_link points to the same origin and heading, gravity down.

    The world's z axis must point up (map and odom of REP-105). Levelling removes roll
    and pitch alone, so a flat world gives the identity.
    """
    cos, sin = math.cos(world_T_base.yaw), math.sin(world_T_base.yaw)
    level_R_world = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
    return RigidTransform(level_R_world @ world_T_base.rotation, np.zeros(3))
