# SPDX-License-Identifier: Apache-2.0
"""The transform tree answers as tf2 does: same poses, same latest times, same refusals.

tf2_py, the compiled half of tf2_ros, comes with a ROS 2 install; there are no wheels of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")
pytest.importorskip("tf2_msgs", reason="tf2_msgs is not installed: `make ros` generates it")
pytest.importorskip(
    "tf2_py", reason="tf2_py is not installed; it comes with ROS 2 and not with its wheels"
)

import tf2_py as tf2
from rclpy.duration import Duration
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.time import Time
from tf2_msgs.msg import TFMessage

from bev_perception.errors import TransformError
from bev_perception.geometry import RigidTransform, TransformTree
from bev_perception.geometry.transform_tree import (
    DisconnectedFramesError,
    OutOfRangeError,
    UnknownFrameError,
)
from bev_perception.ros.transform_messages import add_transforms, transforms_message

MILLISECOND = 1_000_000
STATIC = (("base", "front"), ("base", "rear"), ("rear", "lens"), ("island", "beach"))
MOVING = (("map", "odom"), ("odom", "base"), ("front", "gimbal"))
FRAMES = ("map", "odom", "base", "front", "rear", "lens", "gimbal", "island", "beach", "nowhere")
SAME_REFUSAL = {
    UnknownFrameError: (tf2.LookupException,),
    # tf2 climbs before it looks for a connection, so it may miss a sample first.
    DisconnectedFramesError: (tf2.ConnectivityException, tf2.ExtrapolationException),
    OutOfRangeError: (tf2.ExtrapolationException,),
}


class Both:
    """A tree of ours and a buffer of tf2 that hear the same messages."""

    def __init__(self) -> None:
        self.tree = TransformTree()
        self.buffer = tf2.BufferCore(Duration(seconds=100))

    def hear(self, stamp_ns: int, edge: tuple[str, str, RigidTransform], static: bool) -> None:
        raw = serialize_message(transforms_message(stamp_ns, [edge]))
        message = deserialize_message(raw, TFMessage)
        add_transforms(self.tree, message, static=static)
        setter = self.buffer.set_transform_static if static else self.buffer.set_transform
        setter(message.transforms[0], "test")

    def ours(self, target: str, source: str, stamp_ns: int) -> RigidTransform | type:
        try:
            return self.tree.lookup(target, source, stamp_ns)
        except TransformError as error:
            return type(error)

    def theirs(self, target: str, source: str, stamp_ns: int) -> Any:
        try:
            time = Time(nanoseconds=stamp_ns)
            return self.buffer.lookup_transform_core(target, source, time).transform
        except tf2.TransformException as error:
            return type(error)


def random_pose(rng: np.random.Generator) -> RigidTransform:
    return RigidTransform.from_euler(*rng.uniform(-3.1, 3.1, 3), rng.uniform(-50.0, 50.0, 3))


@pytest.fixture(params=range(4))
def both(request: pytest.FixtureRequest) -> Both:
    """A forest of moving and static frames; samples come unevenly and out of order."""
    rng = np.random.default_rng(request.param)
    found = Both()
    for parent, child in STATIC:
        found.hear(5, (parent, child, random_pose(rng)), static=True)
    for parent, child in MOVING:
        for stamp_ms in rng.permutation(np.arange(1000, 2000, rng.integers(20, 90))).tolist():
            found.hear(stamp_ms * MILLISECOND, (parent, child, random_pose(rng)), static=False)
    return found


def test_every_lookup_gives_the_same_pose_or_the_same_refusal(both: Both) -> None:
    rng = np.random.default_rng(7)
    refused, answered = set(), 0
    for target in FRAMES:
        for source in FRAMES:
            if target == source == "nowhere":
                continue  # of a frame that it has never heard of tf2 knows where it is to itself
            for stamp_ns in rng.integers(900 * MILLISECOND, 2100 * MILLISECOND, 6).tolist():
                ours = both.ours(target, source, stamp_ns)
                theirs = both.theirs(target, source, stamp_ns)
                where = f"{target} <- {source} at {stamp_ns}: {ours}, tf2 {theirs}"
                if isinstance(ours, type):
                    assert theirs in SAME_REFUSAL[ours], where
                    refused.add(ours)
                    continue
                answered += 1
                turn, shift = theirs.rotation, theirs.translation
                expected = RigidTransform.from_quaternion(
                    (turn.x, turn.y, turn.z, turn.w), (shift.x, shift.y, shift.z)
                )
                assert ours.is_close(expected, metres=1e-6, radians=1e-6), where
    assert refused == set(SAME_REFUSAL)
    assert answered > 200


def test_the_newest_common_time_is_the_same(both: Both) -> None:
    for target, source in (("map", "base"), ("odom", "base"), ("map", "gimbal"), ("lens", "map")):
        theirs = both.buffer.get_latest_common_time(target, source)
        assert both.tree.latest_ns(target, source) == theirs.nanoseconds, (target, source)
    assert both.tree.latest_ns("lens", "front") is None
    assert both.buffer.get_latest_common_time("lens", "front").nanoseconds == 0
