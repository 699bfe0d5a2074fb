# SPDX-License-Identifier: Apache-2.0
"""The rig that CameraInfo, TF and a rig file tell together, and when it has changed."""

from __future__ import annotations

import math
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

from sensor_msgs.msg import CameraInfo

from bev_perception.errors import CalibrationError, TransformError
from bev_perception.geometry import (
    BODY_T_OPTICAL,
    PinholeCamera,
    Rig,
    RigidTransform,
    TransformTree,
)
from bev_perception.geometry.rig_file import RigFileCamera
from bev_perception.ros.image_messages import camera_info_message
from bev_perception.ros.live_rig import CameraInfoMissingError, CameraInfoSpoiledError, LiveRig

LENS = PinholeCamera.from_field_of_view(96, 64, 90.0)
TOPICS = {"front": "/camera/front/camera_info", "rear": "/camera/rear/camera_info"}


def mounting(yaw_deg: float = 0.0, x: float = 1.0) -> RigidTransform:
    turned = RigidTransform.from_euler(yaw=math.radians(yaw_deg), translation=(x, 0.0, 1.5))
    return turned @ BODY_T_OPTICAL


def info(frame: str, stamp_ns: int = 0, **fields: Any) -> CameraInfo:
    message = camera_info_message(LENS, stamp_ns, frame)
    for name, value in fields.items():
        setattr(message, name, value)
    return message


@pytest.fixture
def tree() -> TransformTree:
    tree = TransformTree(10.0)
    tree.add_static("base_link", "front_optical", mounting())
    tree.add_static("base_link", "rear_optical", mounting(180.0))
    return tree


@pytest.fixture
def live_rig(tree: TransformTree) -> LiveRig:
    return LiveRig(TOPICS, tree, "base_link")


def whole(live_rig: LiveRig) -> Rig:
    live_rig.add_info("rear", info("rear_optical"))
    live_rig.add_info("front", info("front_optical"))
    rig = live_rig.changed_rig()
    assert rig is not None
    return rig


def test_cameras_join_in_the_order_of_the_parameter(live_rig: LiveRig) -> None:
    live_rig.add_info("rear", info("rear_optical"))
    first = live_rig.changed_rig()
    assert first is not None
    assert first.names == ("rear",)
    assert not live_rig.is_complete
    assert isinstance(live_rig.problems["front"], CameraInfoMissingError)
    live_rig.add_info("front", info("front_optical"))
    second = live_rig.changed_rig()
    assert second is not None
    assert second.names == ("front", "rear")
    assert second["rear"].base_T_camera == mounting(180.0)
    assert live_rig.is_complete
    assert not live_rig.problems


def test_the_same_said_again_changes_nothing(live_rig: LiveRig, tree: TransformTree) -> None:
    whole(live_rig)
    assert not live_rig.add_info("front", info("front_optical", stamp_ns=123))
    tree.add_static("base_link", "front_optical", mounting(0.001))
    live_rig.add_transforms()
    assert live_rig.changed_rig() is None


def test_another_focal_length_is_another_rig(live_rig: LiveRig) -> None:
    before = whole(live_rig)
    longer = info("front_optical")
    longer.k[0] += 5.0
    assert live_rig.add_info("front", longer)
    after = live_rig.changed_rig()
    assert after is not None
    assert after["front"].camera.fx == pytest.approx(before["front"].camera.fx + 5.0)
    assert after["rear"] == before["rear"]


def test_another_mounting_is_another_rig(live_rig: LiveRig, tree: TransformTree) -> None:
    whole(live_rig)
    tree.add_static("base_link", "front_optical", mounting(1.0))
    live_rig.add_transforms()
    after = live_rig.changed_rig()
    assert after is not None
    assert after["front"].base_T_camera == mounting(1.0)


def test_a_mounting_among_moving_transforms_is_followed(tree: TransformTree) -> None:
    """As carla_ros_bridge sends it; a clock set back does not dismount the camera."""
    live_rig = LiveRig({"front": TOPICS["front"]}, tree, "base_link")
    live_rig.add_info("front", info("bridge_frame"))
    assert live_rig.changed_rig() is None
    assert isinstance(live_rig.problems["front"], TransformError)
    tree.add("base_link", "bridge_frame", 1, mounting(10.0))
    first = live_rig.changed_rig()
    assert first is not None
    assert first["front"].base_T_camera == mounting(10.0)
    tree.add("base_link", "bridge_frame", 2, mounting(10.0))
    assert live_rig.changed_rig() is None
    tree.clear_moving()
    assert live_rig.changed_rig() is None
    assert not live_rig.problems
    tree.add("base_link", "bridge_frame", 1, mounting(20.0))
    moved = live_rig.changed_rig()
    assert moved is not None
    assert moved["front"].base_T_camera == mounting(20.0)


def test_a_calibration_that_is_lost_is_named_and_the_one_before_used(live_rig: LiveRig) -> None:
    whole(live_rig)
    live_rig.add_info("front", info("front_optical", k=[float("nan")] * 9))
    assert live_rig.changed_rig() is None
    problem = live_rig.problems["front"]
    assert isinstance(problem, CameraInfoSpoiledError)
    assert str(problem).endswith("going on with the CameraInfo before it")
    live_rig.add_info("front", info("front_optical"))
    assert live_rig.changed_rig() is None
    assert not live_rig.problems


def test_an_uncalibrated_camera_is_left_out_and_named(live_rig: LiveRig) -> None:
    live_rig.add_info("rear", info("rear_optical"))
    live_rig.add_info("front", info("front_optical", k=[0.0] * 9))
    rig = live_rig.changed_rig()
    assert rig is not None
    assert rig.names == ("rear",)
    problem = live_rig.problems["front"]
    assert isinstance(problem, CalibrationError)
    assert "/camera/front/camera_info: k[0] = 0" in str(problem)


def test_the_frame_of_the_images_serves_where_camera_info_names_none(live_rig: LiveRig) -> None:
    live_rig.add_info("front", info(""))
    assert live_rig.changed_rig() is None
    assert "frame_id is empty" in str(live_rig.problems["front"])
    live_rig.add_image_frame("front", "/front_optical")
    rig = live_rig.changed_rig()
    assert rig is not None
    assert (rig.names, rig["front"].frame_id) == (("front",), "front_optical")


def test_a_rig_file_is_asked_first(tree: TransformTree) -> None:
    lens = PinholeCamera.from_field_of_view(96, 64, 60.0)
    overrides = {
        "front": RigFileCamera(camera=lens, base_T_camera=mounting(5.0)),
        "rear": RigFileCamera(camera=lens, frame_id="rear_optical"),
    }
    live_rig = LiveRig(TOPICS, tree, "base_link", overrides=overrides)
    rig = live_rig.changed_rig()
    assert rig is not None
    assert rig["front"].base_T_camera == mounting(5.0)
    assert rig["rear"].base_T_camera == mounting(180.0)
    assert rig["rear"].camera == lens
    live_rig.add_info("front", info("front_optical"))
    assert live_rig.changed_rig() is None


def test_rectified_images_take_the_projection_matrix_and_its_rotation(tree: TransformTree) -> None:
    live_rig = LiveRig({"front": TOPICS["front"]}, tree, "base_link", rectified={"front"})
    turn = RigidTransform.from_euler(yaw=0.1)
    message = info("front_optical")
    message.r = turn.rotation.reshape(-1)
    message.p[0], message.p[5] = 70.0, 71.0
    live_rig.add_info("front", message)
    rig = live_rig.changed_rig()
    assert rig is not None
    assert (rig["front"].camera.fx, rig["front"].camera.fy) == (70.0, 71.0)
    assert rig["front"].base_T_camera.is_close(mounting() @ turn.inverse())
