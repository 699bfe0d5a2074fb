# SPDX-License-Identifier: Apache-2.0
"""Transforms whose stamps fall back: an odd sender wipes nothing, a clock set back is noticed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bev_perception.geometry import RigidTransform

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

from rclpy.serialization import serialize_message

from bev_perception.ros.ego_pose import EgoPoses
from bev_perception.ros.transform_input import TransformInput
from bev_perception.ros.transform_messages import transforms_message

MS = 1_000_000
START_MS = 100_000


class Heard:
    """The input of a node that is not there; a vehicle whose x in odom is the time in seconds."""

    def __init__(self) -> None:
        self.jumps = 0
        self.problems: list[str] = []
        node = SimpleNamespace(create_subscription=lambda *_, **__: None)
        self.input = TransformInput(
            node,
            lambda: None,
            lambda: None,
            self._jump,
            self.problems.append,
            base_frame="base_link",
        )
        self._poses = EgoPoses(self.input.tree, "base_link")

    def _jump(self) -> None:
        self.jumps += 1
        self.input.forget_moving()  # as the session does

    def tell(self, stamp_ms: int, *edges: tuple[str, str]) -> None:
        """One message of these edges, default of odometry."""
        pose = RigidTransform.from_euler(translation=(stamp_ms / 1e3, 0.0, 0.0))
        told = [(parent, child, pose) for parent, child in edges or [("odom", "base_link")]]
        self.input._receive(serialize_message(transforms_message(stamp_ms * MS, told)))

    def drive(self, first_ms: int, count: int) -> None:
        for index in range(count):
            self.tell(first_ms + 20 * index)

    def x(self, stamp_ms: int) -> float | None:
        """Where the vehicle exactly was."""
        pose = self._poses.at(stamp_ms * MS)
        is_exact = pose.world_T_base is not None and pose.age_ns == 0
        return float(pose.world_T_base.translation[0]) if is_exact else None


def test_a_frame_that_no_pose_depends_on_may_have_any_stamps() -> None:
    heard = Heard()
    for index in range(60):
        now_ms = START_MS + 20 * index
        heard.tell(now_ms)
        heard.tell(0 if index % 2 else now_ms, ("base_link", "gripper"), ("gripper", "finger"))
        assert heard.x(START_MS) == START_MS / 1e3
    assert (heard.jumps, heard.problems) == (0, [])


@pytest.mark.parametrize("off_ms", [-START_MS, -5000, 5000, 3_600_000])
def test_one_odd_stamp_of_the_ego_pose_costs_that_sample_alone(off_ms: int) -> None:
    heard = Heard()
    heard.drive(START_MS, 20)
    heard.tell(START_MS + 400 + off_ms)
    heard.drive(START_MS + 420, 20)
    assert heard.jumps == 0
    for stamp_ms in range(START_MS, START_MS + 801, 10):
        assert heard.x(stamp_ms) == pytest.approx(stamp_ms / 1e3)
    assert heard.x(START_MS + 850) is None
    assert len(heard.problems) == 1
    assert "stamps of 'odom' -> 'base_link' jump" in heard.problems[0]


@pytest.mark.parametrize("back_ms", [3000, 60_000])
def test_a_clock_that_was_set_back_is_noticed_and_no_sample_of_the_new_time_lost(
    back_ms: int,
) -> None:
    heard = Heard()
    heard.drive(START_MS, 100)
    begin_ms = START_MS + 2000 - back_ms
    heard.drive(begin_ms, 3)
    assert heard.jumps == 1
    assert heard.x(START_MS + 1000) is None
    assert [heard.x(begin_ms + ms) for ms in (0, 20, 40)] == [
        (begin_ms + ms) / 1e3 for ms in (0, 20, 40)
    ]
    heard.drive(begin_ms + 60, 100)
    assert (heard.jumps, heard.problems) == (1, [])


def test_two_frames_are_witnesses_where_they_come_in_two_messages() -> None:
    for edges, jumps in (([("map", "odom"), ("odom", "base_link")], 0), ([("map", "odom")], 1)):
        heard = Heard()
        for index in range(5):
            heard.tell(START_MS + 20 * index, ("map", "odom"), ("odom", "base_link"))
        heard.tell(START_MS - 50_000, *edges)
        heard.tell(START_MS - 49_980 if jumps else START_MS + 100)
        assert heard.jumps == jumps


def test_what_is_held_belongs_to_the_new_time_once_another_witness_has_spoken() -> None:
    """Images fall first; the session then has the moving transforms forgotten."""
    heard = Heard()
    heard.drive(START_MS, 20)
    heard.tell(50_000)
    heard.input.forget_moving()
    assert (heard.x(50_000), heard.x(START_MS), heard.jumps) == (50.0, None, 0)
