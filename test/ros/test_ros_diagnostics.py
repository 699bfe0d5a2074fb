# SPDX-License-Identifier: Apache-2.0
"""Whatever keeps a camera out of the map is named on /diagnostics, and its end is noticed.

All tests share a node and its cameras: each spoils several of a healthy rig at once, waits until
the node tells the causes apart, and heals them.
"""

from __future__ import annotations

import array
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")
pytest.importorskip("tf2_msgs", reason="tf2_msgs is not installed: `make ros` generates it")

from diagnoses import ERROR, OK, PERIOD_S, WARN, Diagnoses
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_cameras import Cameras
from ros_client import Client
from ros_processes import wait_for
from sensor_msgs.msg import Image
from tf2_msgs.msg import TFMessage

from bev_perception.geometry import Rig


@pytest.fixture(scope="module")
def diagnoses(perception_node_of_module: Callable[..., Any], client_of_module: Client) -> Diagnoses:
    """Of a node that all tests share."""
    perception_node_of_module("shared", diagnostics_period_s=PERIOD_S)
    return Diagnoses(client_of_module, "shared")


@pytest.fixture(scope="module")
def drivers(client_of_module: Client, small_rig: Rig) -> Iterator[Cameras]:
    """Four cameras at 10 Hz."""
    cameras = Cameras(client_of_module, small_rig)
    cameras.publish_static()
    cameras.start()
    yield cameras
    cameras.close()


@pytest.fixture
def healthy(diagnoses: Diagnoses, drivers: Cameras) -> Cameras:
    """They, when all is well with them; a test spoils them and heals them."""
    drivers.spoil, drivers.spoil_info, drivers.offset_ns = {}, {}, {}
    drivers.silent, drivers.without_info = set(), set()
    diagnoses.wait_well()
    return drivers


def name_of(cameras: Cameras) -> str:
    """Of the node that publishes them."""
    return str(cameras.client.node.get_fully_qualified_name())


def test_what_goes_wrong_with_images(healthy: Cameras, diagnoses: Diagnoses) -> None:
    def with_encoding(message: Image) -> Image:
        message.encoding = "64FC4"
        return message

    def black(message: Image) -> Image:
        message.data = array.array("B", bytes(len(message.data)))
        return message

    def of_half_the_height(message: Image) -> Image:
        message.height //= 2
        message.data = message.data[: message.height * message.step]
        return message

    healthy.spoil = {"front": with_encoding, "left": black, "rear": of_half_the_height}
    healthy.silent = {"right"}
    told = diagnoses.wait(
        {
            "camera front": (ERROR, "64FC4"),
            "camera left": (ERROR, "image is black"),
            "camera rear": (ERROR, "image is 96x32 but its CameraInfo says 96x64"),
            "camera right": (ERROR, "/camera/right/image_raw stopped"),
            "synchronization": (WARN, "lack cameras"),
        }
    )
    assert f"publisher {name_of(healthy)} is still there" in told["camera right"]
    assert diagnoses.values("camera front")["cause"] == "wrong encoding"
    healthy.spoil, healthy.silent = {}, set()
    diagnoses.wait_well()


def test_what_goes_wrong_with_time_and_calibration(healthy: Cameras, diagnoses: Diagnoses) -> None:
    def uncalibrated(message: Any) -> Any:
        message.k = [0.0] * 9
        return message

    healthy.offset_ns = {"rear": -500_000_000}
    healthy.spoil_info = {"front": uncalibrated}
    volatile = QoSProfile(depth=1, durability=DurabilityPolicy.VOLATILE)
    healthy.client.remove_publisher("/tf_static")
    healthy.client.publish("/tf_static", TFMessage(), volatile)
    told = diagnoses.wait(
        {
            "camera front": (WARN, "going on with the CameraInfo before it"),
            "camera left": (OK, "images per second"),
            "camera rear": (ERROR, "100 % of the images are dropped as late"),
            "transforms": (WARN, "with durability volatile but this node asks for transient_local"),
        }
    )
    assert "raise sync_timeout_ms" in told["camera rear"]
    assert int(diagnoses.values("synchronization")["dropped: rear: late"]) > 0
    healthy.offset_ns, healthy.spoil_info = {}, {}
    healthy.client.remove_publisher("/tf_static")
    healthy.publish_static()
    diagnoses.wait_well()
    diagnoses.wait({"transforms": (OK, "")})


def test_a_driver_that_ends_and_comes_back(healthy: Cameras, diagnoses: Diagnoses) -> None:
    healthy.stop()
    healthy.silent = {"right"}
    healthy.client.remove_publisher("/camera/right/image_raw")
    healthy.start()
    diagnoses.wait({"camera right": (ERROR, "its publisher is gone")})
    healthy.silent = set()
    diagnoses.wait_well()


def test_figures_are_for_those_who_look_closer(healthy: Cameras, diagnoses: Diagnoses) -> None:
    wait_for(lambda: 5.0 < float(diagnoses.values("camera front")["rate_hz"]) < 15.0)
    wait_for(lambda: name_of(healthy) in diagnoses.values("camera front")["publishers"])
    wait_for(lambda: 0.0 <= float(diagnoses.values("camera front")["last_stamp_age_s"]) < 1.0)
    camera = diagnoses.values("camera front")
    assert camera["topic"] == "/camera/front/image_raw"
    publisher = f"{name_of(healthy)} (sensor_msgs/msg/Image, reliable volatile)"
    assert camera["publishers"] == publisher
    assert int(camera["used"]) <= int(camera["received"])
    assert diagnoses.newest()["camera front"].hardware_id == "front_optical_frame"
    engine = diagnoses.values("engine")
    assert {"model", "device", "precision"} <= set(engine)
    assert 0.0 < float(engine["engine_ms median"]) <= float(engine["engine_ms p95"])
    assert int(diagnoses.values("synchronization")["complete_sets"]) > 0
