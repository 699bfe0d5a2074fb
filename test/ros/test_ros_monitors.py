# SPDX-License-Identifier: Apache-2.0
"""What the engine, the synchronisation and TF report of themselves."""

from __future__ import annotations

import pytest

from bev_perception.perception import SynchronizerStatistics
from bev_perception.ros.camera_status import Level
from bev_perception.ros.endpoints import Publisher
from bev_perception.ros.engine_monitor import EngineMonitor
from bev_perception.ros.synchronization_monitor import SynchronizationMonitor
from bev_perception.ros.transform_monitor import TransformMonitor

SECOND = 1_000_000_000
PERIOD = SECOND // 10
FACTS = {"model": "tiny", "device": "cpu", "precision": "fp32"}
TF_MESSAGE = "tf2_msgs/msg/TFMessage"


def test_an_engine_without_sets_is_stale() -> None:
    status = EngineMonitor(lambda: FACTS).status(0)
    assert (status.level, status.hardware_id) == (Level.STALE, "cpu")
    assert status.message == "engine: no set of images has come yet; see the cameras' statuses"


def test_an_engine_reports_its_rate_and_latencies() -> None:
    engine = EngineMonitor(lambda: FACTS)
    for count in range(1, 101):
        engine.set_published({"engine": float(count), "total": 200.0}, count * PERIOD)
    engine.keeps_tables(3, 14_400_000)
    status = engine.status(100 * PERIOD)
    assert (status.level, status.message) == (Level.OK, "engine: 10.0 sets per second")
    assert dict(status.values) == {
        **FACTS,
        "rate_hz": "10.0",
        "tap tables": "3",
        "tap tables, MB": "14.4",
        "published": "100",
        "engine_ms median": "50.5",
        "engine_ms p95": "95.0",
        "total_ms median": "200.0",
        "total_ms p95": "200.0",
    }
    assert engine.status(130 * PERIOD).level is Level.STALE


def test_an_engine_that_is_too_slow_says_so() -> None:
    engine = EngineMonitor(lambda: FACTS)
    for count in range(1, 21):
        engine.set_published({}, count * PERIOD)
        engine.set_dropped("busy")
    status = engine.status(20 * PERIOD)
    assert status.level is Level.WARN
    assert "50 % of the sets are dropped because the engine is busy" in status.message
    assert status.values["dropped: busy"] == "20"


def test_an_engine_error_is_told_of_for_a_while_after_sets_succeed_again() -> None:
    engine = EngineMonitor(lambda: FACTS)
    engine.set_published({}, PERIOD)
    engine.failed("out of memory; use a smaller model")
    status = engine.status(2 * PERIOD)
    assert (status.level, status.message) == (
        Level.ERROR,
        "engine: out of memory; use a smaller model",
    )
    engine.set_published({}, 3 * PERIOD)
    status = engine.status(3 * PERIOD)
    assert status.level is Level.WARN
    assert status.message == (
        "engine: going on after a set that failed: out of memory; use a smaller model"
    )
    for count in range(4, 12):
        engine.set_published({}, count * PERIOD)
    assert engine.status(11 * PERIOD).level is Level.OK


def test_a_rig_that_cannot_be_used_is_an_error_until_one_can_and_no_riddle_about_images() -> None:
    engine = EngineMonitor(lambda: FACTS)
    engine.rig_refused("the rig of sky cannot be used: camera sky sees 0 % of the virtual camera")
    status = engine.status(PERIOD)
    assert (status.level, status.message) == (
        Level.ERROR,
        "engine: the rig of sky cannot be used: camera sky sees 0 % of the virtual camera",
    )
    engine.rig_refused("")
    engine.set_published({}, PERIOD)
    assert engine.status(PERIOD).level is Level.OK
    engine.rig_refused("the rig of sky cannot be used")
    status = engine.status(PERIOD)
    assert status.level is Level.WARN
    assert status.message.endswith("cannot be used; going on with the rig before")


def test_the_verdict_changes_when_a_failure_is_over_and_leaves_a_warning() -> None:
    facts = {"device": "cuda:0"}
    engine = EngineMonitor(lambda: facts)
    engine.set_published({}, PERIOD)
    engine.failed("out of memory")
    facts["device"] = "cpu"
    engine.set_published({}, 2 * PERIOD)
    just_now, later = engine.verdict(2 * PERIOD), engine.verdict(2 * PERIOD + SECOND)
    assert just_now[0] is later[0] is Level.WARN
    assert just_now != later  # so diagnostics are published at once
    assert "memory was short" in engine.status(2 * PERIOD + SECOND).message


def test_a_memory_that_is_used_by_some_sets_alone_is_warned_of_without_a_flicker() -> None:
    engine, levels = EngineMonitor(lambda: FACTS), []
    for count in range(1, 30):
        late = count < 20 and count % 3
        engine.remembers("not used: the pose is late" if late else "one state")
        engine.set_published({}, count * PERIOD)
        levels.append(engine.status(count * PERIOD).level)
    assert levels[:19] == [Level.WARN] * 19
    assert levels[-1] is Level.OK
    engine.remembers("not used: the pose is late")
    status = engine.status(30 * PERIOD)
    assert status.message.endswith("memory not used: the pose is late")
    assert status.values["memory"] == "not used: the pose is late"


def test_an_engine_that_took_over_is_named() -> None:
    facts = {"model": "tiny", "device": "cuda:0", "precision": "bf16"}
    engine = EngineMonitor(lambda: facts)
    engine.set_published({}, PERIOD)
    facts["device"] = "cpu"
    engine.set_published({}, 2 * PERIOD)
    status = engine.status(2 * PERIOD)
    assert (status.level, status.hardware_id) == (Level.WARN, "cpu")
    assert status.message.endswith("memory was short: device cpu instead of cuda:0")
    assert status.values["device"] == "cpu"


def counts(complete: int, partial: int, received: int) -> SynchronizerStatistics:
    statistics = SynchronizerStatistics.of(["front", "rear"])
    statistics.complete_sets, statistics.partial_sets = complete, partial
    statistics.received["front"] = received
    return statistics


@pytest.mark.parametrize(
    ("complete", "partial", "received", "level", "part"),
    [
        (0, 0, 0, Level.STALE, "no images come"),
        (0, 0, 30, Level.ERROR, "30 images but no set"),
        (10, 5, 30, Level.WARN, "5 of 15 sets lack cameras"),
        (30, 1, 60, Level.OK, "30 complete and 1 partial sets of late"),
    ],
)
def test_synchronisation(
    complete: int, partial: int, received: int, level: Level, part: str
) -> None:
    status = SynchronizationMonitor().status(counts(complete, partial, received), SECOND)
    assert status.level is level
    assert part in status.message


def test_synchronisation_is_judged_by_the_last_seconds() -> None:
    monitor = SynchronizationMonitor()
    for second in range(10):
        monitor.status(counts(0, 10 * second, 10 * second), second * SECOND)
    for second in range(10, 14):
        status = monitor.status(
            counts(10 * (second - 9), 90, 90 + 20 * (second - 9)), second * SECOND
        )
    assert status.level is Level.OK
    assert status.values["partial_sets"] == "90"


def test_stamps_that_jump_back_are_told_of_for_a_while() -> None:
    monitor = SynchronizationMonitor()
    before, after = counts(9, 0, 40), counts(10, 0, 44)
    monitor.status(before, SECOND)
    after.clock_jumps = 1
    status = monitor.status(after, SECOND + PERIOD)
    assert (status.level, "stamps have jumped back" in status.message) == (Level.WARN, True)
    assert monitor.status(after, 2 * SECOND).level is Level.OK


def test_synchronisation_begins_anew_with_the_counts() -> None:
    monitor = SynchronizationMonitor()
    monitor.status(counts(1000, 0, 4000), SECOND)
    assert monitor.status(counts(5, 0, 20), 2 * SECOND).message.endswith(
        "5 complete and 0 partial sets of late"
    )


def test_drops_are_listed_by_camera_and_cause() -> None:
    statistics = counts(1, 0, 5)
    statistics.count_dropped("rear", "late")
    statistics.clock_jumps = 2
    values = SynchronizationMonitor().status(statistics, SECOND).values
    assert (values["dropped"], values["dropped: rear: late"]) == ("1", "1")
    assert values["clock_jumps"] == "2"


def test_a_vehicle_without_localisation_is_fine() -> None:
    transforms = TransformMonitor("base_link")
    transforms.pose_missing(SECOND)
    status = transforms.status(SECOND)
    assert status.level is Level.OK
    assert "no pose of base_link in map or odom on /tf" in status.message


def test_a_localisation_that_dies_is_a_warning() -> None:
    transforms = TransformMonitor("base_link")
    transforms.pose_found("odom", 0, SECOND)
    assert transforms.status(SECOND).message == "transforms: pose of base_link in odom"
    for count in range(10):
        transforms.pose_missing(2 * SECOND + count * PERIOD)
    status = transforms.status(3 * SECOND)
    assert status.level is Level.WARN
    assert status.message.endswith("look at the localisation")


def test_a_pose_that_falls_back_to_odometry_is_told_and_one_that_comes_back_is_fine() -> None:
    transforms = TransformMonitor("base_link")
    transforms.pose_found("odom", 0, SECOND)
    transforms.pose_found("map", 0, SECOND + PERIOD)
    assert transforms.verdict(SECOND + PERIOD) is Level.OK
    transforms.pose_found("odom", 0, 2 * SECOND)
    status = transforms.status(2 * SECOND)
    assert status.level is Level.WARN
    assert "in map has ended and is taken in odom" in status.message
    transforms.pose_found("odom", 0, 3 * SECOND)
    assert transforms.verdict(3 * SECOND) is Level.OK


def test_nothing_is_said_of_a_pose_that_nobody_asks_for_any_more() -> None:
    transforms = TransformMonitor("base_link")
    transforms.pose_missing(SECOND)
    status = transforms.status(10 * SECOND)
    assert status.level is Level.OK
    assert "no set of images" in status.message


def test_a_world_frame_that_was_asked_for_is_missed() -> None:
    transforms = TransformMonitor("base_link", "map")
    transforms.pose_missing(SECOND)
    assert transforms.status(SECOND).level is Level.WARN


def test_a_pose_that_comes_late_is_a_warning_while_it_does() -> None:
    transforms = TransformMonitor("base_link")
    transforms.pose_found("odom", SECOND // 2, SECOND)
    status = transforms.status(SECOND)
    assert status.level is Level.WARN
    assert "the pose of base_link in odom is 0.5 s older than the images" in status.message
    transforms.pose_found("odom", 0, SECOND)
    assert transforms.status(2 * SECOND).level is Level.OK


def test_a_publisher_of_transforms_that_cannot_be_heard_is_named() -> None:
    transforms = TransformMonitor("base_link")
    latched = Publisher("/good", TF_MESSAGE, "reliable", "transient_local")
    usual = Publisher("/good", TF_MESSAGE, "reliable", "volatile")
    transforms.publishers([latched], [usual])
    assert transforms.status(SECOND).level is Level.OK
    transforms.publishers([latched, Publisher("/bad", TF_MESSAGE, "reliable", "volatile")], [usual])
    status = transforms.status(SECOND)
    assert status.level is Level.WARN
    assert status.message == (
        "transforms: publisher /bad offers /tf_static with durability volatile but this node "
        "asks for transient_local; use a StaticTransformBroadcaster"
    )
    transforms.publishers([], [usual, Publisher("/bad", TF_MESSAGE, "best_effort", "volatile")])
    assert transforms.status(SECOND).message == (
        "transforms: publisher /bad offers /tf with reliability best_effort but this node asks "
        "for reliable; use a TransformBroadcaster"
    )


def test_a_transform_that_is_none_is_reported_for_a_while() -> None:
    transforms = TransformMonitor("base_link")
    transforms.transform_refused("/tf: the quaternion from odom to base_link is zero", SECOND)
    assert transforms.status(SECOND + SECOND // 2).level is Level.WARN
    assert transforms.status(2 * SECOND).level is Level.OK
