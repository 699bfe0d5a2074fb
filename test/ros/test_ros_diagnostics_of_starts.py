# SPDX-License-Identifier: Apache-2.0
"""What /diagnostics says of cameras that are not there, or not as the node was told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")
pytest.importorskip("tf2_msgs", reason="tf2_msgs is not installed: `make ros` generates it")

from diagnoses import CAMERAS, ERROR, OK, PERIOD_S, STALE, Diagnoses
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image


def test_what_is_missing_from_the_start(
    perception_node: Callable[..., Any],
    client: Any,
    make_cameras: Callable[..., Any],
) -> None:
    diagnoses = Diagnoses(client, "fresh")
    perception_node("fresh", diagnostics_period_s=PERIOD_S, image_reliability="reliable")
    diagnoses.wait({f"camera {name}": (ERROR, "nobody publishes") for name in CAMERAS})
    diagnoses.wait(
        {
            "camera rear": (ERROR, "nobody publishes /camera/rear/image_raw; start its driver"),
            "synchronization": (STALE, "no images come"),
            "engine": (STALE, "no set of images has come yet"),
        }
    )
    cameras = make_cameras(client, frames=["front", "left", "rear"])
    cameras.silent = {"front"}
    cameras.without_info = {"rear"}
    client.publisher("/camera/front/image_raw", CompressedImage)
    client.publisher("/camera/left/image_raw", Image, qos_profile_sensor_data)
    cameras.start()
    told = diagnoses.wait(
        {
            "camera front": (ERROR, "but sensor_msgs/msg/Image is expected"),
            "camera left": (ERROR, "with reliability best_effort but this node asks for reliable"),
            "camera rear": (ERROR, "nobody publishes CameraInfo on /camera/rear/camera_info"),
            "camera right": (ERROR, "no transform from its frame 'right_optical_frame'"),
        }
    )
    assert told["camera front"] == (
        "camera front: publisher /test_client offers /camera/front/image_raw as "
        "sensor_msgs/msg/CompressedImage but sensor_msgs/msg/Image is expected; set "
        "image_transport: compressed"
    )
    assert told["camera left"].endswith("set image_reliability: best_effort")

    cameras.stop()
    client.remove_publisher("/camera/front/image_raw")
    client.remove_publisher("/camera/left/image_raw")
    cameras.silent, cameras.without_info = set(), set()
    cameras.publish_static()
    cameras.start()
    diagnoses.wait_well()


def test_images_that_cannot_be_decoded(
    perception_node: Callable[..., Any],
    client: Any,
    make_cameras: Callable[..., Any],
) -> None:
    def damaged(message: CompressedImage) -> CompressedImage:
        message.data = message.data[:40]
        return message

    diagnoses = Diagnoses(client, "decoder")
    perception_node(
        "decoder",
        cameras=["front", "left"],
        image_transport="compressed",
        diagnostics_period_s=PERIOD_S,
    )
    cameras = make_cameras(client)
    cameras.compressed = True
    cameras.spoil = {"front": damaged}
    cameras.start()
    diagnoses.wait(
        {
            "camera front": (ERROR, "/camera/front/image_raw/compressed"),
            "camera left": (OK, "images per second"),
        }
    )
    assert diagnoses.values("camera front")["cause"] == "undecodable"
    cameras.spoil = {}
    diagnoses.wait({"camera front": (OK, ""), "engine": (OK, "")})
