# SPDX-License-Identifier: Apache-2.0
"""TF and odometry: messages to transforms and back."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion, Transform, TransformStamped, Vector3
from nav_msgs.msg import Odometry
from numpy.typing import ArrayLike
from tf2_msgs.msg import TFMessage

from bev_perception.bags.poses import pose_from_message, transform_from_message
from bev_perception.errors import TransformError
from bev_perception.geometry import RigidTransform, TransformTree
from bev_perception.ros.stamps import header_message, stamp_ns

try:
    from tf_transformations import quaternion_from_matrix
except (ImportError, AttributeError):  # old transforms3d asks for names that NumPy has dropped
    quaternion_from_matrix = None

__all__ = [
    "add_transforms",
    "odometry_message",
    "pose_from_message",
    "pose_message",
    "quaternion_message",
    "transform_from_message",
    "transforms_message",
]


SHOWN = 3
"""How many impossible transforms of a message an error names."""


def add_transforms(tree: TransformTree, message: TFMessage, static: bool) -> bool:
    """Puts the transforms of /tf, or of /tf_static when static, into a tree.

    Messages become transforms as in bags: to the last bit, so that a live grid equals the one
    of a recording.

    Returns:
        Whether the tree changed; drivers repeat static transforms that say nothing new.

    Raises:
        TransformError: names the frames of the transforms that are impossible; the others of
            the message are in the tree.
    """
    changed, problems = False, []
    for stamped in message.transforms:
        parent, child = stamped.header.frame_id, stamped.child_frame_id
        try:
            transform = transform_from_message(stamped.transform)
            if static:
                changed |= tree.add_static(parent, child, transform)
            else:
                changed |= tree.add(parent, child, stamp_ns(stamped.header.stamp), transform)
        except TransformError as error:
            problems.append(f"{parent!r} -> {child!r}: {error}")
    if problems:
        topic = "/tf_static" if static else "/tf"
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise TransformError(f"{topic}: " + "; ".join(problems[:SHOWN]) + more)
    return changed


def transforms_message(
    stamp_ns: int, transforms: Iterable[tuple[str, str, RigidTransform]]
) -> TFMessage:
    """TFMessage of (parent, child, parent_T_child)."""
    return TFMessage(
        transforms=[
            TransformStamped(
                header=header_message(stamp_ns, parent),
                child_frame_id=child,
                transform=Transform(
                    translation=_vector(pose.translation), rotation=quaternion_message(pose)
                ),
            )
            for parent, child, pose in transforms
        ]
    )


def odometry_message(
    stamp_ns: int,
    frame_id: str,
    child_frame_id: str,
    pose: RigidTransform,
    linear: ArrayLike = (0.0, 0.0, 0.0),
    angular: ArrayLike = (0.0, 0.0, 0.0),
) -> Odometry:
    """Odometry; linear (m/s) and angular (rad/s) velocity in the child frame."""
    message = Odometry()
    message.header = header_message(stamp_ns, frame_id)
    message.child_frame_id = child_frame_id
    message.pose.pose = pose_message(pose)
    message.twist.twist.linear = _vector(linear)
    message.twist.twist.angular = _vector(angular)
    return message


def pose_message(pose: RigidTransform) -> Pose:
    """geometry_msgs/Pose."""
    x, y, z = pose.translation.tolist()
    return Pose(position=Point(x=x, y=y, z=z), orientation=quaternion_message(pose))


def quaternion_message(pose: RigidTransform) -> Quaternion:
    """geometry_msgs/Quaternion of a transform's rotation, w >= 0."""
    if quaternion_from_matrix is None:
        values = pose.quaternion
    else:
        values = np.asarray(quaternion_from_matrix(pose.matrix), dtype=np.float64)
        values = -values if values[3] < 0 else values
    x, y, z, w = values.tolist()
    return Quaternion(x=x, y=y, z=z, w=w)


def _vector(values: ArrayLike) -> Vector3:
    x, y, z = np.asarray(values, dtype=np.float64).tolist()
    return Vector3(x=x, y=y, z=z)
