# SPDX-License-Identifier: Apache-2.0
"""TF and odometry of rclpy, in and out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="ROS 2 is not installed: make ros")
pytest.importorskip("tf2_msgs", reason="tf2_msgs is not installed: make ros")

from rclpy.serialization import deserialize_message, serialize_message
from tf2_msgs.msg import TFMessage

from bev_perception.bags.poses import odometry_to_message, transforms_to_message
from bev_perception.bags.typestore import ODOMETRY, TF, bag_typestore
from bev_perception.errors import TransformError
from bev_perception.geometry import RigidTransform, TransformTree
from bev_perception.ros.transform_messages import (
    add_transforms,
    odometry_message,
    pose_from_message,
    pose_message,
    transforms_message,
)

STAMP_NS = 77_000_000_123

angles = st.floats(-3.1, 3.1)
metres = st.floats(-1000, 1000)
poses = st.builds(
    lambda roll, pitch, yaw, x, y, z: RigidTransform.from_euler(roll, pitch, yaw, (x, y, z)),
    *[angles] * 3,
    *[metres] * 3,
)


def sent(*transforms: tuple[str, str, RigidTransform], stamp_ns: int = STAMP_NS) -> TFMessage:
    message = transforms_message(stamp_ns, transforms)
    return deserialize_message(serialize_message(message), TFMessage)


@settings(max_examples=50, deadline=None)
@given(pose=poses)
def test_poses_survive(pose: RigidTransform) -> None:
    message = pose_message(pose)
    assert message.orientation.w >= 0
    assert pose_from_message(message).is_close(pose, metres=0.0, radians=1e-7)


@settings(max_examples=30, deadline=None)
@given(first=poses, second=poses)
def test_transforms_survive_the_way_into_a_tree(
    first: RigidTransform, second: RigidTransform
) -> None:
    tree = TransformTree()
    assert add_transforms(tree, sent(("map", "base_link", first)), static=False)
    assert add_transforms(tree, sent(("base_link", "camera", second)), static=True)
    found = tree.lookup("map", "camera", STAMP_NS)
    assert found.is_close(first @ second, metres=1e-6, radians=1e-7)


def test_live_transforms_are_those_of_a_bag_to_the_last_bit() -> None:
    pose = RigidTransform.from_euler(0.1, -0.2, 2.5, (1.0, 2.0, 3.0))
    recorded = transforms_to_message(STAMP_NS, [("map", "base_link", pose)])
    raw = bytes(bag_typestore().serialize_cdr(recorded, TF))
    live, offline = TransformTree(), TransformTree()
    add_transforms(live, deserialize_message(raw, TFMessage), static=False)
    add_transforms(offline, bag_typestore().deserialize_cdr(raw, TF), static=False)
    lookup = ("map", "base_link", STAMP_NS)
    assert live.lookup(*lookup) == offline.lookup(*lookup)


def test_a_repeated_static_transform_changes_nothing() -> None:
    pose = RigidTransform.from_euler(yaw=0.5)
    moved = RigidTransform.from_euler(yaw=0.6)
    tree = TransformTree()
    answers = [
        add_transforms(tree, sent(("base_link", "camera", each)), static=True)
        for each in (pose, pose, moved, moved)
    ]
    assert answers == [True, False, True, False]


def test_a_new_parent_is_a_change() -> None:
    pose = RigidTransform.identity()
    tree = TransformTree()
    assert add_transforms(tree, sent(("base_link", "camera", pose)), static=True)
    assert add_transforms(tree, sent(("roof", "camera", pose)), static=True)


def test_a_repeated_sample_changes_nothing() -> None:
    pose = RigidTransform.from_euler(yaw=0.5)
    tree = TransformTree()
    assert add_transforms(tree, sent(("map", "base_link", pose)), static=False)
    assert not add_transforms(tree, sent(("map", "base_link", pose)), static=False)
    later = sent(("map", "base_link", pose), stamp_ns=STAMP_NS + 1)
    assert add_transforms(tree, later, static=False)


def test_a_bad_transform_is_named_and_the_others_are_kept() -> None:
    good = RigidTransform.from_euler(yaw=0.5)
    message = sent(("base_link", "left", good), ("base_link", "rear", good))
    message.transforms[0].transform.rotation.w = 0.0
    message.transforms[0].transform.rotation.z = 0.0
    tree = TransformTree()
    with pytest.raises(TransformError, match=r"/tf_static: 'base_link' -> 'left': .*norm 0"):
        add_transforms(tree, message, static=True)
    assert tree.lookup("base_link", "rear", 0).is_close(good)


def test_a_transform_that_is_not_a_number_is_named() -> None:
    message = sent(("map", "base_link", RigidTransform.identity()))
    message.transforms[0].transform.translation.x = float("nan")
    with pytest.raises(TransformError, match=r"/tf: 'map' -> 'base_link': .*not finite"):
        add_transforms(TransformTree(), message, static=False)


def test_odometry_is_the_one_that_bags_hold() -> None:
    pose = RigidTransform.from_euler(0.1, -0.2, 2.5, (1.0, 2.0, 3.0))
    arguments = (STAMP_NS, "odom", "base_link", pose, (8.0, 0.1, 0.0), np.array([0, 0, 0.2]))
    raw = serialize_message(odometry_message(*arguments))
    live = bag_typestore().deserialize_cdr(raw, ODOMETRY)
    recorded = odometry_to_message(*arguments)
    assert (live.header, live.child_frame_id) == (recorded.header, recorded.child_frame_id)
    assert live.twist.twist == recorded.twist.twist
    assert live.pose.pose.position == recorded.pose.pose.position
    assert pose_from_message(live.pose.pose).is_close(pose, metres=0.0, radians=1e-7)
    assert not live.pose.covariance.any()
    assert not live.twist.covariance.any()
