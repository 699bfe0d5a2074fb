# SPDX-License-Identifier: Apache-2.0
"""Which ego pose a set gets, and how long it waits for it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

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
    for stamp_ns in (11 * SECOND, 13 * SECOND):
        tree.add("odom", "base_link", stamp_ns, at(7.0))
    poses = EgoPoses(tree, "base_link")
    assert poses.at(12 * SECOND) == EgoPose(at(107.0), "map", age_ns=SECOND)
    assert poses.at(13 * SECOND) == EgoPose(at(7.0), "odom", age_ns=0)


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
