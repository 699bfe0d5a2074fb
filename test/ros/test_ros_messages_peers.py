# SPDX-License-Identifier: Apache-2.0
"""cv_bridge, sensor_msgs_py and tf_transformations say the same as what stands in for them.

They come with a ROS 2 install and not with wheels; put them on PYTHONPATH to run these.
"""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="ROS 2 is not installed: make ros")

from sensor_msgs.msg import Image

from bev_perception.bags import images
from bev_perception.bags.images import SUPPORTED_ENCODINGS
from bev_perception.bags.point_clouds import center_table
from bev_perception.geometry import BevGrid, BevOutput, ObjectBox, RigidTransform
from bev_perception.ros import output_messages, transform_messages
from bev_perception.ros.bridged_images import bridged_image
from bev_perception.ros.image_messages import image_message
from bev_perception.ros.output_messages import centers_message
from bev_perception.ros.stamps import header_message
from bev_perception.ros.transform_messages import pose_from_message, pose_message

poses = st.builds(RigidTransform.from_euler, *[st.floats(-3.1, 3.1)] * 3)


def peer(name: str) -> Any:
    return pytest.importorskip(
        name, reason=f"{name} is not installed; it comes with ROS 2 and not with its wheels"
    )


def output_of(count: int) -> BevOutput:
    rng = np.random.default_rng(count)
    boxes = tuple(
        ObjectBox(
            "car",
            index,
            RigidTransform.from_euler(yaw=rng.uniform(-3, 3), translation=rng.normal(size=3)),
            np.ones(3),
            rng.normal(size=3),
            score=float(rng.uniform()),
        )
        for index in range(count)
    )
    cells = np.zeros((2, 2), dtype=np.float32)
    grid = BevGrid.centered(1.0, 1.0)
    return BevOutput(7, grid, cells, cells > 0, cells, np.stack([cells, cells]), boxes)


def test_cv_bridge_makes_our_message_of_an_image() -> None:
    bridge = peer("cv_bridge").CvBridge()
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    ours = image_message(pixels, 5, "camera")
    theirs = bridge.cv2_to_imgmsg(pixels, header=header_message(5, "camera"))
    theirs.encoding = "rgb8"  # an array alone cannot say in which order its colours are
    assert ours == theirs


@pytest.mark.parametrize("encoding", SUPPORTED_ENCODINGS)
def test_cv_bridge_sees_the_same_pixels(encoding: str) -> None:
    peer("cv_bridge")
    message = Image(height=6, width=8, encoding=encoding)
    message.step = images.row_bytes(message)
    pixels = np.random.default_rng(1).integers(0, 256, 6 * message.step, dtype=np.uint8)
    message.data = array("B", pixels.tobytes())
    theirs = bridged_image(message)
    if theirs is None:
        pytest.skip(f"this cv_bridge does not convert {encoding}")
    np.testing.assert_array_equal(images.image_from_message(message, "/t"), theirs)


@pytest.mark.parametrize("count", [0, 1, 30])
def test_sensor_msgs_py_reads_our_centres(count: int) -> None:
    point_cloud2 = peer("sensor_msgs_py.point_cloud2")
    output = output_of(count)
    points = point_cloud2.read_points(centers_message(output, "base_link"))
    np.testing.assert_array_equal(points, center_table(output.base_objects))


@pytest.mark.parametrize("count", [1, 30])
def test_sensor_msgs_py_makes_our_cloud(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    peer("sensor_msgs_py.point_cloud2")
    assert output_messages.create_cloud is not None
    theirs = centers_message(output_of(count), "base_link")
    monkeypatch.setattr(output_messages, "create_cloud", None)
    assert centers_message(output_of(count), "base_link") == theirs


@settings(max_examples=100, deadline=None)
@given(pose=poses)
def test_tf_transformations_makes_our_matrix_of_a_message(pose: RigidTransform) -> None:
    tf_transformations = peer("tf_transformations")
    turn = pose_message(pose).orientation
    matrix = tf_transformations.quaternion_matrix((turn.x, turn.y, turn.z, turn.w))
    np.testing.assert_allclose(matrix[:3, :3], pose.rotation, atol=1e-12)
    np.testing.assert_allclose(
        pose_from_message(pose_message(pose)).rotation, matrix[:3, :3], atol=1e-12
    )


@settings(max_examples=100, deadline=None)
@given(pose=poses)
def test_tf_transformations_makes_our_quaternion(pose: RigidTransform) -> None:
    peer("tf_transformations")
    assert transform_messages.quaternion_from_matrix is not None
    turn = transform_messages.quaternion_message(pose)
    theirs = np.array([turn.x, turn.y, turn.z, turn.w])
    sign = np.sign(theirs @ pose.quaternion)  # a half turn has two quaternions with w = 0
    np.testing.assert_allclose(sign * theirs, pose.quaternion, atol=1e-12)
