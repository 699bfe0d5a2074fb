# SPDX-License-Identifier: Apache-2.0
"""A publisher that floods costs its own topic, and the diagnostics name it; the others go on."""

from __future__ import annotations

import array
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")
pytest.importorskip("tf2_msgs", reason="tf2_msgs is not installed: `make ros` generates it")

from diagnoses import ERROR, OK, PERIOD_S, WARN, Diagnoses
from nav_msgs.msg import OccupancyGrid
from ros_cameras import Cameras
from ros_client import Client
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from bev_perception.geometry import Rig, RigidTransform
from bev_perception.ros.flood_limits import SECOND, ImageLimit, RateLimit, TransformLimit

RATE_HZ, MEGABYTES = 40.0, 0.1
OTHERS = ("left", "rear", "right")


@pytest.fixture(scope="module")
def node(perception_node_of_module: Callable[..., Any]) -> Any:
    return perception_node_of_module(
        "shared",
        diagnostics_period_s=PERIOD_S,
        max_image_rate_hz=RATE_HZ,
        max_image_mb=MEGABYTES,
        max_tf_frames=100,
    )


@pytest.fixture(scope="module")
def diagnoses(node: Any, client_of_module: Client) -> Diagnoses:
    return Diagnoses(client_of_module, "shared")


@pytest.fixture(scope="module")
def drivers(client_of_module: Client, small_rig: Rig) -> Iterator[Cameras]:
    """Four honest cameras at 10 Hz."""
    cameras = Cameras(client_of_module, small_rig)
    cameras.publish_static()
    cameras.start()
    yield cameras
    cameras.close()


@contextmanager
def flood(publish: Callable[[], object], rate_hz: float) -> Iterator[None]:
    """Calls publish so often, in a thread."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(1.0 / rate_hz):
            publish()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def expect_others_to_go_on(diagnoses: Diagnoses, grids: Any) -> None:
    diagnoses.wait({f"camera {name}": (OK, "") for name in OTHERS})
    grids.clear()
    grids.wait(3)


def test_a_camera_that_floods_is_left_out_and_the_others_go_on(
    diagnoses: Diagnoses, drivers: Cameras, client_of_module: Client
) -> None:
    diagnoses.wait_well()
    grids = client_of_module.collect("/shared/occupancy_grid", OccupancyGrid)
    message = drivers.image_message("front", 0)

    def send() -> None:
        message.header.stamp = client_of_module.node.get_clock().now().to_msg()
        client_of_module.publish("/camera/front/image_raw", message)

    with flood(send, 300.0):
        texts = diagnoses.wait({"camera front": (ERROR, "max_image_rate_hz = 40")})
        assert "/camera/front/image_raw" in texts["camera front"]
        expect_others_to_go_on(diagnoses, grids)
    diagnoses.wait_well()


def test_images_that_are_too_large_are_not_taken(
    diagnoses: Diagnoses, drivers: Cameras, client_of_module: Client
) -> None:
    diagnoses.wait_well()
    grids = client_of_module.collect("/shared/occupancy_grid", OccupancyGrid)
    huge = Image(height=500, width=500, encoding="rgb8", step=1500)
    huge.data = array.array("B", bytes(750_000))
    with flood(lambda: client_of_module.publish("/camera/front/image_raw", huge), 20.0):
        diagnoses.wait({"camera front": (ERROR, "images of 1 MB come, more than max_image_mb")})
        expect_others_to_go_on(diagnoses, grids)
    diagnoses.wait_well()


def test_invented_frames_are_refused_and_known_ones_stay(
    diagnoses: Diagnoses, drivers: Cameras, client_of_module: Client
) -> None:
    diagnoses.wait_well()
    grids = client_of_module.collect("/shared/occupancy_grid", OccupancyGrid)
    numbers = iter(range(10**9))

    def message(count: int) -> TFMessage:
        here = RigidTransform.identity()
        now_ns = client_of_module.node.get_clock().now().nanoseconds
        return TFMessage(
            transforms=[
                drivers.transform(now_ns, "base_link", f"hostile_{next(numbers)}", here)
                for _ in range(count)
            ]
        )

    with flood(lambda: client_of_module.publish("/tf", message(90)), 20.0):
        text = diagnoses.wait({"transforms": (WARN, "somebody invents frames")})["transforms"]
        assert len(text) < 1500
        expect_others_to_go_on(diagnoses, grids)
    with flood(lambda: client_of_module.publish("/tf", message(101)), 20.0):
        diagnoses.wait({"transforms": (WARN, "101 transforms, more than max_tf_frames = 100")})
    diagnoses.wait_well()


def test_bytes_that_are_no_message_are_named_and_end_nothing(
    diagnoses: Diagnoses, drivers: Cameras, client_of_module: Client
) -> None:
    diagnoses.wait_well()
    grids = client_of_module.collect("/shared/occupancy_grid", OccupancyGrid)
    cut = b"\x00\x01\x00\x00\x01\x00\x00\x00"  # CDR of one element, and then nothing
    transforms = client_of_module.publisher("/tf", TFMessage)
    infos = client_of_module.publisher("/camera/front/camera_info", CameraInfo)
    with flood(lambda: (transforms.publish(cut), infos.publish(cut)), 20.0):
        texts = diagnoses.wait(
            {
                "transforms": (WARN, "/tf: a message of 8 bytes is no TFMessage"),
                "camera front": (WARN, "a message of 8 bytes is no CameraInfo"),
            }
        )
        assert "going on with the CameraInfo before it" in texts["camera front"]
        expect_others_to_go_on(diagnoses, grids)
    diagnoses.wait_well()


def test_calibrations_that_change_all_the_time_are_taken_twice_a_second_at_most(
    node: Any, diagnoses: Diagnoses, drivers: Cameras, client_of_module: Client
) -> None:
    diagnoses.wait_well()
    focal = iter(range(10**9))

    def send() -> None:
        message: CameraInfo = drivers.info_message("front", 0)
        message.k[0] = message.k[4] = 50.0 + 0.01 * (next(focal) % 1000)
        client_of_module.publish("/camera/front/camera_info", message)

    before, begin = len(re.findall("is in use", node.log)), time.monotonic()
    with flood(send, 300.0):
        diagnoses.wait({"camera front": (WARN, "has changed")})
        diagnoses.wait({f"camera {name}": (OK, "") for name in OTHERS})
        node.wait_for_log("(?s)" + ".*is in use" * (before + 2))
        seconds = time.monotonic() - begin
    assert len(re.findall("is in use", node.log)) - before <= 2 + 2 * (seconds + 1.0)
    diagnoses.wait_well()


def test_a_rate_lets_bursts_through_and_nothing_beyond() -> None:
    limit = RateLimit(10.0)
    assert [limit.admit(0) for _ in range(12)] == [True] * 10 + [False] * 2
    assert limit.admit(SECOND // 10)
    assert not limit.admit(SECOND // 10)
    assert limit.admit(100 * SECOND, 10)
    assert not limit.admit(100 * SECOND, 1)
    assert not limit.admit(50 * SECOND, 1)  # a clock that goes back gives nothing


def test_an_image_limit_pauses_and_looks_again_with_less_patience() -> None:
    limit = ImageLimit(100.0, 1.0)
    assert not any(limit.problem(1000, k * SECOND // 100) for k in range(500))
    assert not limit.is_over(5 * SECOND)
    assert "of 2 MB" in limit.problem(2_000_000, 5 * SECOND)
    assert not limit.is_over(5 * SECOND + SECOND // 2)
    assert limit.is_over(6 * SECOND)
    problems = [limit.problem(1000, 6 * SECOND) for _ in range(11)]
    assert not any(problems[:10])
    assert "images per second" in problems[10]


def test_a_transform_message_is_judged_by_its_count_before_it_is_read() -> None:
    limit = TransformLimit(rate_hz=100.0, max_frames=50)
    assert "51 transforms" in limit.problem(b"\0\1\0\0" + (51).to_bytes(4, "little"), 0)
    assert "4294967295" in limit.problem(b"\0\0\0\0" + b"\xff" * 4, 0)
    for _ in range(2):
        assert not limit.problem(b"\0\1\0\0" + (50).to_bytes(4, "little"), 0)
    assert "max_tf_rate_hz" in limit.problem(b"\0\1\0\0" + (1).to_bytes(4, "little"), 0)
    assert not limit.problem(b"\0\1\0\0" + (1).to_bytes(4, "little"), SECOND)
