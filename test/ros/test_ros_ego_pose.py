# SPDX-License-Identifier: Apache-2.0
"""Which ego pose a set gets, and how long it waits for it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from bev_perception.bags.vehicle_frames import VehicleFrames
from bev_perception.geometry import RigidTransform, TransformTree
from bev_perception.ros.ego_pose import EgoPose, EgoPoses
from bev_perception.ros.pose_queue import MAX_WAITING, PoseQueue

MS = 1_000_000
SECOND = 1000 * MS


@dataclass(frozen=True)
class Set:
    stamp_ns: int


def at(x: float) -> RigidTransform:
    return RigidTransform.from_euler(translation=(x, 0.0, 0.0))


@pytest.fixture
def tree() -> TransformTree:
    """map -> base_link at 1 m/s from 10 s to 11 s."""
    tree = TransformTree(10.0)
    for stamp_ns in (10 * SECOND, 11 * SECOND):
        tree.add("map", "base_link", stamp_ns, at(stamp_ns / SECOND))
    return tree


def test_the_pose_is_interpolated_to_the_stamp(tree: TransformTree) -> None:
    pose = EgoPoses(tree, "base_link").at(10 * SECOND + 250 * MS)
    assert pose.world_T_base is not None
    assert pose.world_T_base.translation[0] == pytest.approx(10.25)
    assert (pose.world_frame, pose.age_ns, pose.is_final) == ("map", 0, True)


def test_after_the_last_one_the_newest_pose_is_offered_with_its_age(tree: TransformTree) -> None:
    pose = EgoPoses(tree, "base_link").at(11 * SECOND + 80 * MS)
    assert pose.world_T_base == at(11.0)
    assert pose.age_ns == 80 * MS
    assert not pose.is_final


def test_a_localisation_that_died_gives_way_to_odometry() -> None:
    tree = TransformTree()
    tree.add("map", "odom", 11 * SECOND, at(100.0))
    for stamp_ns in (11 * SECOND, 16 * SECOND):
        tree.add("odom", "base_link", stamp_ns, at(7.0))
    poses = EgoPoses(tree, "base_link")
    odometry = {"local_T_base": at(7.0), "local_frame": "odom"}
    assert poses.at(14 * SECOND) == EgoPose(at(107.0), "map", age_ns=3 * SECOND, **odometry)
    assert poses.at(14 * SECOND + MS) == EgoPose(at(7.0), "odom", age_ns=0, **odometry)


SPEED = 10.0
CORRECTION_NS, ODOMETRY_NS, IMAGES_NS = 400 * MS, 20 * MS, 50 * MS


def drive(tree: TransformTree, now_ns: int, correction_ns: int = CORRECTION_NS) -> None:
    """What is heard at a time of a vehicle at SPEED, whose odometry drifts by 0.1 m/s."""
    if now_ns % ODOMETRY_NS == 0:
        tree.add("odom", "base_link", now_ns, at(0.99 * SPEED * now_ns / SECOND))
    if now_ns % correction_ns == 0:
        tree.add("map", "odom", now_ns, at(0.01 * SPEED * now_ns / SECOND))


def test_a_slow_localisation_neither_ages_the_pose_nor_holds_sets_up() -> None:
    """Corrections at 2.5 Hz, odometry at 50 Hz: a parked car stays where it is."""
    tree = TransformTree(10.0)
    queue = PoseQueue[Set](EgoPoses(tree, "base_link", patience_ns=100 * MS), 100 * MS)
    parked_m, seen, waited = 50.0, [], []
    for now_ns in range(10 * SECOND, 13 * SECOND, 10 * MS):
        drive(tree, now_ns)
        if now_ns % IMAGES_NS == 0:
            queue.add(Set(now_ns), now_ns)
        for served, pose in queue.ready(now_ns):
            assert pose.world_T_base is not None
            truly_ahead = parked_m - SPEED * served.stamp_ns / SECOND
            seen.append(float(pose.world_T_base.translation[0]) + truly_ahead)
            waited.append(now_ns - served.stamp_ns)
            assert (pose.world_frame, pose.motion_age_ns) == ("map", 0)
    assert len(seen) >= 59
    assert max(waited) <= ODOMETRY_NS
    drift_m = 0.01 * SPEED * CORRECTION_NS / SECOND
    assert all(parked_m - drift_m - 1e-6 <= place <= parked_m + 1e-6 for place in seen)


def test_a_correction_that_comes_soon_is_waited_for_and_equals_that_of_the_bag() -> None:
    """To the last bit, so that a grid of a live drive is that of its recording."""
    tree = TransformTree(10.0)
    poses = EgoPoses(tree, "base_link", patience_ns=100 * MS)
    queue = PoseQueue[Set](poses, timeout_ns=100 * MS)
    for now_ns in range(10 * SECOND, 10 * SECOND + 201 * MS, 10 * MS):
        drive(tree, now_ns, correction_ns=100 * MS)
    late = Set(10 * SECOND + 230 * MS)
    tree.add("odom", "base_link", late.stamp_ns, at(101.3))
    queue.add(late, 0)
    assert queue.ready(99 * MS) == []
    tree.add("map", "odom", 10 * SECOND + 300 * MS, at(1.03))
    [(_, pose)] = queue.ready(99 * MS)
    assert (pose.age_ns, pose.is_final) == (0, True)
    offline = VehicleFrames(tree, "base_link").world_T_base(late.stamp_ns)
    assert pose.world_T_base == offline


@pytest.mark.parametrize("period_ms", [20, 100, 400])
def test_a_correction_is_late_only_when_it_has_missed_its_beats(period_ms: int) -> None:
    """So a localisation that has died is told of long before its frame is given up."""
    tree = TransformTree(10.0)
    for now_ns in range(10 * SECOND, 12 * SECOND, 10 * MS):
        drive(tree, now_ns, correction_ns=period_ms * MS)
    tree.clear_after("odom", 11 * SECOND)
    newest_ns = tree.latest_ns("map", "odom")
    assert newest_ns is not None
    poses = EgoPoses(tree, "base_link")
    for age_ms in range(0, 901, 20):
        pose = poses.at(newest_ns + age_ms * MS)
        expected_ms = age_ms if age_ms > 3 * period_ms else 0
        assert (pose.world_frame, pose.late_ns) == ("map", expected_ms * MS)


def test_a_body_that_sways_on_late_wheels_makes_no_exact_pose() -> None:
    """map -> base_footprint -> base_link: the late edge is the motion, not a correction."""
    tree = TransformTree(10.0)
    for stamp_ns in (10 * SECOND, 11 * SECOND):
        tree.add("map", "base_footprint", stamp_ns, at(stamp_ns / SECOND))
        tree.add("base_footprint", "base_link", stamp_ns + 80 * MS, at(0.0))
    pose = EgoPoses(tree, "base_link", patience_ns=SECOND).at(11 * SECOND + 80 * MS)
    assert (pose.age_ns, pose.motion_age_ns, pose.is_final) == (80 * MS, 80 * MS, False)


def test_without_a_world_frame_there_is_nothing_to_wait_for() -> None:
    tree = TransformTree()
    tree.add("somewhere", "base_link", SECOND, at(1.0))
    assert EgoPoses(tree, "base_link").at(2 * SECOND).is_final
    named = EgoPoses(tree, "base_link", world_frame="somewhere").at(SECOND)
    assert (named.world_T_base, named.world_frame) == (at(1.0), "somewhere")


def test_a_set_before_all_poses_goes_without(tree: TransformTree) -> None:
    pose = EgoPoses(tree, "base_link").at(9 * SECOND)
    assert pose.world_T_base is None
    assert pose.is_final


def test_a_set_waits_until_its_pose_comes(tree: TransformTree) -> None:
    queue = PoseQueue[Set](EgoPoses(tree, "base_link"), timeout_ns=100 * MS)
    late = Set(11 * SECOND + 50 * MS)
    queue.add(late, now_ns=0)
    assert queue.ready(now_ns=99 * MS) == []
    tree.add("map", "base_link", 11 * SECOND + 100 * MS, at(11.1))
    [(served, pose)] = queue.ready(now_ns=99 * MS)
    assert served is late
    assert pose.world_T_base is not None
    assert pose.world_T_base.translation[0] == pytest.approx(11.05)


def test_a_set_goes_on_with_the_newest_pose_when_time_is_up(tree: TransformTree) -> None:
    queue = PoseQueue[Set](EgoPoses(tree, "base_link"), timeout_ns=100 * MS)
    queue.add(Set(11 * SECOND + 50 * MS), now_ns=7)
    [(_, pose)] = queue.ready(now_ns=7 + 100 * MS)
    assert (pose.world_T_base, pose.age_ns) == (at(11.0), 50 * MS)


def test_poses_later_than_the_next_image_starve_nobody(tree: TransformTree) -> None:
    """Poses come 80 ms late, images every 50 ms."""
    queue = PoseQueue[Set](EgoPoses(tree, "base_link"), timeout_ns=200 * MS)
    served = []
    for tick in range(1, 21):
        now = 11 * SECOND + tick * 10 * MS
        tree.add("map", "base_link", now - 80 * MS, at(0.0))
        if tick % 5 == 0:
            queue.add(Set(now), now)
        served += [(waiting.stamp_ns, pose.age_ns) for waiting, pose in queue.ready(now)]
    assert served == [(11 * SECOND + 50 * MS, 0), (11 * SECOND + 100 * MS, 0)]


def test_no_more_sets_wait_than_memory_allows(tree: TransformTree) -> None:
    queue = PoseQueue[Set](EgoPoses(tree, "base_link"), timeout_ns=SECOND)
    served = []
    for index in range(3 * MAX_WAITING):
        queue.add(Set(11 * SECOND + (index + 1) * MS), now_ns=0)
        served += queue.ready(now_ns=0)
        assert len(queue) <= MAX_WAITING
    assert [waiting.stamp_ns for waiting, _ in served] == [
        11 * SECOND + (index + 1) * MS for index in range(2 * MAX_WAITING)
    ]
