# SPDX-License-Identifier: Apache-2.0
"""Of several causes the one to mend first is told, and none flickers."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from monitored_camera import INFO_TOPIC, SECOND, TOPIC, Camera, damaged, late

from bev_perception.geometry import CameraHealth
from bev_perception.ros.camera_monitor import CameraMonitor
from bev_perception.ros.camera_status import Cause
from bev_perception.ros.camera_topics import COMPRESSED_IMAGE
from bev_perception.ros.endpoints import Publisher
from bev_perception.ros.lingering import CLEAR_AFTER_S


def everything_is_wrong() -> Camera:
    """A camera with all causes that can hold while images come."""
    camera = Camera()
    camera.monitor = CameraMonitor("rear", TOPIC, INFO_TOPIC)
    camera.monitor.info_problem("uncalibrated")
    camera.monitor.transform_problem("no transform")

    def spoil(monitor: CameraMonitor) -> None:
        monitor.image_refused("encoding", Cause.WRONG_ENCODING)
        monitor.image_refused("decoding", Cause.UNDECODABLE)
        monitor.images_dropped("late")
        monitor.images_dropped("duplicate")
        monitor.health(CameraHealth(ok=False, cause="image is black"))

    return camera.send(60, spoil)


def test_of_several_causes_the_one_to_mend_first_is_reported() -> None:
    status = everything_is_wrong().status
    assert status.cause is Cause.WRONG_ENCODING
    assert status.values["other causes"] == (
        "undecodable, no CameraInfo, uncalibrated, no TF, black image, late, bad stamps"
    )


def test_silence_comes_before_everything_else() -> None:
    camera = everything_is_wrong().wait(1.5)
    assert camera.status.cause is Cause.STOPPED
    camera.monitor.publishers([Publisher("/rear_driver", COMPRESSED_IMAGE)])
    assert camera.status.cause is Cause.OTHER_TYPE


def test_a_stutter_is_reported_without_flicker() -> None:
    camera = Camera().send(30)
    causes = []
    for _ in range(5):
        camera.wait(1.2)
        causes.append(camera.status.cause)
        camera.send(8)
        causes.append(camera.status.cause)
    assert set(causes[4:]) == {Cause.STOPPED}, "the third stop tells that it recurs"
    assert camera.send(30).status.cause is Cause.NONE


def test_what_ends_for_good_is_told_of_for_less_than_a_second() -> None:
    camera = Camera().send(30).send(20, damaged).send(5)
    assert camera.status.cause is Cause.UNDECODABLE
    assert camera.send(2).status.cause is Cause.NONE


def test_what_recurs_is_told_of_between() -> None:
    camera = Camera()
    causes = []
    for _ in range(8):
        camera.send(1, damaged)
        for _ in range(7):
            causes.append(camera.send(1).status.cause)
    assert set(causes[16:]) == {Cause.UNDECODABLE}


@given(steps=st.lists(st.sampled_from(["good", "late", "damaged", "pause"]), max_size=60))
def test_a_status_turns_ok_at_most_once_per_clearing_time(steps: list[str]) -> None:
    camera = Camera()
    camera.send(30)
    recoveries, before = [], Cause.NONE
    for step in steps:
        if step == "pause":
            camera.wait(1.3)
        else:
            camera.send(
                1, {"good": CameraMonitor.image_used, "late": late, "damaged": damaged}[step]
            )
        cause = camera.status.cause
        if cause is Cause.NONE and before is not Cause.NONE:
            recoveries.append(camera.now_ns)
        before = cause
    assert all(after - before >= CLEAR_AFTER_S * SECOND for before, after in pairwise(recoveries))


@given(
    steps=st.lists(
        st.tuples(st.integers(-100 * SECOND, 10 * SECOND), st.integers(-(2**62), 2**62)),
        max_size=40,
    )
)
def test_neither_clocks_nor_stamps_that_jump_break_it(steps: list[tuple[int, int]]) -> None:
    camera = Camera()
    for step_ns, stamp_ns in steps:
        camera.now_ns += step_ns
        camera.monitor.image_received(stamp_ns, camera.now_ns)
        camera.monitor.image_used()
        status = camera.monitor.status(camera.now_ns, clock_ns=0)
        assert (status.cause, float(status.values["rate_hz"]) >= 0.0) == (Cause.NONE, True)
    assert camera.send(30).status.cause is Cause.NONE
    assert camera.status.values["received"] == str(len(steps) + 30)
    assert camera.wait(1.1).status.cause is Cause.STOPPED
