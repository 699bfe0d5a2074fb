# SPDX-License-Identifier: Apache-2.0
"""Rectified images have the same intrinsics live as in a bag of the same topics."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

from rclpy.parameter import Parameter

from bev_perception.bags.camera_info import calibration_from_message
from bev_perception.bags.discovery import find_cameras
from bev_perception.bags.typestore import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE
from bev_perception.geometry import BODY_T_OPTICAL, PinholeCamera, TransformTree
from bev_perception.ros.image_messages import camera_info_message
from bev_perception.ros.live_rig import LiveRig
from bev_perception.ros.node_monitor import NodeMonitor
from bev_perception.ros.parameters import declare_parameters, read_parameters
from bev_perception.ros.rectified_cameras import rectified_cameras
from bev_perception.ros.viewer_settings import ViewerSettings

LENS = PinholeCamera.from_field_of_view(96, 64, 90.0)
INFO = camera_info_message(LENS, 0, "front_optical")
INFO.p[0] = INFO.p[5] = 70.0


def live_focal_length(ros: Any, image_topic: str, **values: Any) -> tuple[float, str]:
    """fx of the live rig, and what the camera's diagnostics say."""
    parameters = {"cameras": ["front"], **values}
    node = ros.create_node(
        "bev",
        cli_args=["--ros-args", "-r", f"~/input/front/image:={image_topic}"],
        parameter_overrides=[Parameter(name, value=value) for name, value in parameters.items()],
    )
    try:
        declare_parameters(node)
        read = read_parameters(node)
        tree = TransformTree()
        tree.add_static("base_link", "front_optical", BODY_T_OPTICAL)
        infos = {"front": "/cam/front/camera_info"}
        rig = LiveRig(infos, tree, "base_link", rectified_cameras(node, read))
        rig.add_info("front", INFO)
        monitor = NodeMonitor(node, read, {}, dict, None)
        told = monitor.cameras["front"].status(0).values["rectified"]
        monitor.close()
        return rig.changed_rig()["front"].camera.fx, told
    finally:
        node.destroy_node()


@pytest.mark.parametrize(
    ("name", "kind", "rectified"),
    [
        ("image_raw", IMAGE, False),
        ("image_rect", IMAGE, True),
        ("image_rect_color/compressed", COMPRESSED_IMAGE, True),
    ],
)
def test_the_name_of_the_topic_says_it_live_as_in_bags(
    ros_environment: Any, name: str, kind: str, rectified: bool
) -> None:
    topic = f"/cam/front/{name}"
    fx, told = live_focal_length(ros_environment, topic)
    seen = [(topic, kind), ("/cam/front/camera_info", CAMERA_INFO)]
    topics = find_cameras([SimpleNamespace(topic=t, msgtype=k, msgcount=1) for t, k in seen])
    in_bag = calibration_from_message(INFO, "/cam", topics["front"].rectified).camera.fx
    assert fx == in_bag == (70.0 if rectified else LENS.fx)
    assert told == str(rectified).lower()
    viewed = ViewerSettings(("front",), image_topic=f"/cam/{{camera}}/{name}")
    assert viewed.rectified_cameras == (frozenset({"front"}) if rectified else frozenset())


@pytest.mark.parametrize(("told", "fx"), [(True, 70.0), (False, LENS.fx)])
def test_the_parameter_overrides_the_name(ros_environment: Any, told: bool, fx: float) -> None:
    topic = "/cam/front/image_raw" if told else "/cam/front/image_rect"
    found = live_focal_length(ros_environment, topic, rectified=told)
    assert found == (fx, str(told).lower())
