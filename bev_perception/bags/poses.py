# SPDX-License-Identifier: Apache-2.0
"""Poses, TF and odometry: messages to RigidTransform and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from bev_perception.bags.headers import NANOSECONDS, make_header
from bev_perception.bags.typestore import ODOMETRY, TF, message_class
from bev_perception.geometry import RigidTransform


def vector_from_message(message: Any) -> NDArray[np.float64]:
    """(3,) of a message with x, y, z."""
    return np.array([message.x, message.y, message.z], dtype=np.float64)


def make_vector(values: ArrayLike, kind: str = "Vector3") -> Any:
    """geometry_msgs Vector3 or Point of (3,)."""
    x, y, z = np.asarray(values, dtype=np.float64).tolist()
    return message_class(f"geometry_msgs/msg/{kind}")(x, y, z)


def make_quaternion(pose: RigidTransform) -> Any:
    """geometry_msgs/Quaternion of a transform's rotation."""
    return message_class("geometry_msgs/msg/Quaternion")(*pose.quaternion.tolist())


def pose_from_message(message: Any) -> RigidTransform:
    """``frame_T_body`` of a geometry_msgs/Pose.

    Raises:
        TransformError: the quaternion is not a rotation.
    """
    return _rigid(message.orientation, message.position)


def pose_to_message(pose: RigidTransform) -> Any:
    """geometry_msgs/Pose."""
    return message_class("geometry_msgs/msg/Pose")(
        make_vector(pose.translation, "Point"), make_quaternion(pose)
    )


def transform_from_message(message: Any) -> RigidTransform:
    """``parent_T_child`` of a geometry_msgs/Transform.

    Raises:
        TransformError: the quaternion is not a rotation.
    """
    return _rigid(message.rotation, message.translation)


def transforms_to_message(
    stamp_ns: int, transforms: Iterable[tuple[str, str, RigidTransform]]
) -> Any:
    """tf2_msgs/TFMessage of (parent, child, parent_T_child)."""
    stamped = message_class("geometry_msgs/msg/TransformStamped")
    transform = message_class("geometry_msgs/msg/Transform")
    return message_class(TF)(
        [
            stamped(
                make_header(stamp_ns, parent),
                child,
                transform(make_vector(pose.translation), make_quaternion(pose)),
            )
            for parent, child, pose in transforms
        ]
    )


def odometry_to_message(
    stamp_ns: int,
    frame_id: str,
    child_frame_id: str,
    pose: RigidTransform,
    linear: ArrayLike = (0.0, 0.0, 0.0),
    angular: ArrayLike = (0.0, 0.0, 0.0),
) -> Any:
    """nav_msgs/Odometry; linear (m/s) and angular (rad/s) velocity in the child frame."""
    twist = message_class("geometry_msgs/msg/Twist")(make_vector(linear), make_vector(angular))
    return message_class(ODOMETRY)(
        make_header(stamp_ns, frame_id),
        child_frame_id,
        message_class("geometry_msgs/msg/PoseWithCovariance")(pose_to_message(pose), np.zeros(36)),
        message_class("geometry_msgs/msg/TwistWithCovariance")(twist, np.zeros(36)),
    )


def twist_since(
    earlier: tuple[int, RigidTransform] | None, stamp_ns: int, world_T_base: RigidTransform
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Linear (m/s) and angular (rad/s) velocity in the base frame since an earlier pose.

    Args:
        earlier: stamp and pose before, None where there is none; then, as after a jump of the
            clock, both velocities are zero.
        stamp_ns, world_T_base: the pose now.
    """
    if earlier is None or stamp_ns <= earlier[0]:
        return np.zeros(3), np.zeros(3)
    elapsed_s = (stamp_ns - earlier[0]) / NANOSECONDS
    moved = world_T_base.translation - earlier[1].translation
    turned = Rotation.from_matrix((earlier[1].inverse() @ world_T_base).rotation).as_rotvec()
    return world_T_base.inverse().rotate(moved) / elapsed_s, turned / elapsed_s


def _rigid(rotation: Any, translation: Any) -> RigidTransform:
    quaternion = (rotation.x, rotation.y, rotation.z, rotation.w)
    return RigidTransform.from_quaternion(quaternion, vector_from_message(translation))
