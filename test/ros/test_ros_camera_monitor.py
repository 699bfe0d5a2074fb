# SPDX-License-Identifier: Apache-2.0
"""Each cause that keeps a camera's images out is found and named."""

from __future__ import annotations

import pytest
from monitored_camera import DRIVER, INFO_DRIVER, INFO_TOPIC, SECOND, TOPIC, Camera, damaged, late

from bev_perception.geometry import CameraHealth
from bev_perception.ros.camera_monitor import CameraMonitor
from bev_perception.ros.camera_status import Cause, Level
from bev_perception.ros.camera_topics import COMPRESSED_IMAGE, IMAGE
from bev_perception.ros.endpoints import Publisher


def test_a_camera_whose_images_are_used_is_ok() -> None:
    camera = Camera().send(30)
    status = camera.monitor.status(camera.now_ns, clock_ns=camera.now_ns + SECOND // 4)
    assert (status.level, status.cause) == (Level.OK, Cause.NONE)
    assert status.message == "camera rear: 10.0 images per second"
    assert status.hardware_id == "rear_optical_frame"
    assert dict(status.values) == {
        "topic": TOPIC,
        "rectified": "false",
        "rate_hz": "10.0",
        "received": "30",
        "used": "30",
        "last_stamp_age_s": "0.250",
        "publishers": "/rear_driver (sensor_msgs/msg/Image, reliable volatile)",
    }


def test_one_image_makes_no_rate() -> None:
    assert Camera().send(1).status.message == "camera rear: images begin to come"


def test_nobody_publishes_the_topic() -> None:
    camera = Camera()
    camera.monitor.publishers([], [], ["/rear/image", "/rear/image/compressed"])
    assert camera.status.level is Level.WARN  # discovery takes its time
    assert camera.status.is_starting
    status = camera.wait(3.1).status
    assert (status.level, status.cause) == (Level.ERROR, Cause.NEVER_PUBLISHED)
    assert not status.is_starting
    assert status.message == (
        "camera rear: nobody publishes /camera/rear/image_raw (there are images on /rear/image, "
        "/rear/image/compressed); start its driver or remap ~/input/rear/image"
    )


def test_a_publisher_that_never_sends_is_named() -> None:
    status = Camera().wait(4.0).status
    assert status.cause is Cause.NEVER_PUBLISHED
    assert "nothing has come yet from publisher /rear_driver of /camera/rear/" in status.message


@pytest.mark.parametrize(
    ("compressed", "offered", "advice"),
    [
        (False, COMPRESSED_IMAGE, "set image_transport: compressed"),
        (True, IMAGE, "set image_transport: raw"),
        (False, "std_msgs/msg/String", "remap ~/input/rear/image to its image topic"),
    ],
)
def test_a_publisher_of_another_type_is_named(compressed: bool, offered: str, advice: str) -> None:
    camera = Camera(compressed=compressed)
    camera.monitor.publishers([Publisher("/rear_driver", offered)])
    status = camera.status
    expected = COMPRESSED_IMAGE if compressed else IMAGE
    assert (status.level, status.cause) == (Level.ERROR, Cause.OTHER_TYPE)
    assert status.message == (
        f"camera rear: publisher /rear_driver offers {TOPIC} as {offered} but {expected} is "
        f"expected; {advice}"
    )


def test_a_best_effort_publisher_does_not_reach_a_reliable_subscription() -> None:
    camera = Camera(image_reliability="reliable")
    camera.monitor.publishers([Publisher("/rear_driver", IMAGE, "best_effort", "volatile")])
    status = camera.status
    assert (status.level, status.cause) == (Level.ERROR, Cause.OTHER_QOS)
    assert status.message == (
        "camera rear: publisher /rear_driver offers /camera/rear/image_raw with reliability "
        "best_effort but this node asks for reliable; set image_reliability: best_effort"
    )


@pytest.mark.parametrize("asked", ["best_effort", "reliable"])
def test_a_reliable_publisher_reaches_every_subscription(asked: str) -> None:
    assert Camera(image_reliability=asked).status.cause is Cause.NEVER_PUBLISHED


def test_a_fitting_publisher_besides_an_unfit_one_is_enough() -> None:
    camera = Camera(image_reliability="reliable")
    unfit = Publisher("/other", IMAGE, "best_effort", "volatile")
    camera.monitor.publishers([unfit, DRIVER])
    assert camera.send().status.cause is Cause.NONE


def test_a_policy_that_only_the_middleware_sees_is_named() -> None:
    camera = Camera()
    camera.monitor.incompatible_qos("DEADLINE")
    status = camera.status
    assert status.cause is Cause.OTHER_QOS
    assert "do not agree on the QoS policy DEADLINE" in status.message
    assert camera.send(3).status.cause is Cause.NONE


def test_a_camera_has_stopped_after_six_tenths_of_a_second() -> None:
    camera = Camera().send(30)
    assert camera.wait(0.5).status.cause is Cause.NONE
    status = camera.wait(0.2).status
    assert (status.level, status.cause) == (Level.ERROR, Cause.STOPPED)
    assert "stopped 0.7 s ago, publisher /rear_driver is still there" in status.message
    camera.monitor.publishers([])
    assert "its publisher is gone" in camera.status.message


def test_a_slow_camera_has_stopped_after_five_of_its_periods() -> None:
    camera = Camera().send(10, period_ns=SECOND)
    assert camera.wait(4.9).status.cause is Cause.NONE
    assert camera.wait(0.2).status.cause is Cause.STOPPED


def test_an_outage_does_not_blunt_the_next_one() -> None:
    camera = Camera().send(30).wait(60.0).send(5)
    assert camera.wait(1.1).status.cause is Cause.STOPPED


@pytest.mark.parametrize("cause", [Cause.WRONG_ENCODING, Cause.UNDECODABLE, Cause.WRONG_SIZE])
def test_images_that_cannot_be_read(cause: Cause) -> None:
    camera = Camera().send(30, lambda m: m.image_refused("what is wrong and what to do", cause))
    status = camera.status
    assert (status.level, status.cause) == (Level.ERROR, cause)
    assert status.message == "camera rear: what is wrong and what to do"
    assert status.values[f"dropped: {cause.value}"] == "30"


def test_some_bad_images_are_a_warning() -> None:
    camera = Camera().send(18)
    assert camera.send(6, damaged).status.level is Level.WARN


def test_few_bad_images_are_nothing() -> None:
    camera = Camera().send(28)
    assert camera.send(2, damaged).send(1).status.cause is Cause.NONE


def test_no_camera_info() -> None:
    camera = Camera()
    camera.monitor = CameraMonitor("rear", TOPIC, INFO_TOPIC)
    assert camera.send(1).status.level is Level.WARN
    status = camera.send(40).status
    assert (status.level, status.cause) == (Level.ERROR, Cause.NO_INFO)
    assert f"nobody publishes CameraInfo on {INFO_TOPIC}" in status.message
    camera.monitor.publishers([DRIVER], [Publisher("/rear_driver", "std_msgs/msg/String")])
    assert "as std_msgs/msg/String but sensor_msgs/msg/CameraInfo" in camera.status.message
    camera.monitor.publishers([DRIVER], [INFO_DRIVER])
    assert "/rear_driver has sent no CameraInfo" in camera.status.message
    camera.monitor.info_received()
    assert camera.status.cause is Cause.NONE


def test_a_rig_file_needs_neither_camera_info_nor_tf() -> None:
    monitor = CameraMonitor("rear", TOPIC, INFO_TOPIC, needs_info=False, needs_transform=False)
    monitor.transform_problem("nobody knows the frame")
    camera = Camera()
    camera.monitor = monitor
    assert camera.send(60).status.cause is Cause.NONE


def test_an_uncalibrated_camera() -> None:
    camera = Camera().send(40)
    camera.monitor.info_problem(f"{INFO_TOPIC}: k[0] = 0")
    assert camera.status.cause is Cause.UNCALIBRATED
    assert camera.status.message == f"camera rear: {INFO_TOPIC}: k[0] = 0"
    camera.monitor.info_problem("")
    assert camera.status.cause is Cause.NONE


def test_no_tf() -> None:
    camera = Camera()
    camera.monitor.transform_problem("camera 'rear': no transform to base_link")
    assert camera.send(10).status.level is Level.WARN  # perhaps not discovered yet
    status = camera.send(40).status
    assert (status.level, status.cause) == (Level.ERROR, Cause.NO_TRANSFORM)
    assert status.message == "camera rear: no transform to base_link"
    camera.monitor.transform_problem("")
    assert camera.status.cause is Cause.NONE


@pytest.mark.parametrize(
    ("health", "cause"),
    [
        ("image is black", Cause.BLACK_IMAGE),
        ("image has one colour all over (RGB 9, 9, 9)", Cause.BLACK_IMAGE),
        ("camera rear: image is 64x64 but its CameraInfo says 96x64", Cause.WRONG_SIZE),
        ("no image in this set", Cause.NONE),
    ],
)
def test_what_the_pipeline_says_of_the_image(health: str, cause: Cause) -> None:
    camera = Camera().send(30, lambda m: m.health(CameraHealth(ok=False, cause=health)))
    assert camera.status.cause is cause
    if cause is not Cause.NONE:
        assert camera.status.level is Level.ERROR
        assert camera.status.message == f"camera rear: {health.removeprefix('camera rear: ')}"
    camera.send(20, lambda m: m.health(CameraHealth(ok=True)))
    assert camera.status.cause is Cause.NONE


def test_images_that_come_too_late_for_their_sets() -> None:
    status = Camera().send(30, late).status
    assert (status.level, status.cause) == (Level.ERROR, Cause.LATE)
    assert "100 % of the images are dropped as late" in status.message
    assert "raise sync_timeout_ms" in status.message


def test_sometimes_late_is_a_warning() -> None:
    camera = Camera().send(20).send(8, late)
    assert (camera.status.level, camera.status.cause) == (Level.WARN, Cause.LATE)


@pytest.mark.parametrize("drop", ["duplicate", "out of order", "overflow"])
def test_stamps_that_do_not_grow_or_run_ahead(drop: str) -> None:
    status = Camera().send(30, lambda m: m.images_dropped(drop)).status
    assert (status.level, status.cause) == (Level.ERROR, Cause.BAD_STAMPS)


@pytest.mark.parametrize("drop", ["busy", "unmatched", "surplus", "clock jump"])
def test_drops_that_are_not_the_cameras_fault_are_only_counted(drop: str) -> None:
    status = Camera().send(30, lambda m: m.images_dropped(drop)).status
    assert (status.cause, status.values[f"dropped: {drop}"]) == (Cause.NONE, "30")
