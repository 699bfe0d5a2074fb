# SPDX-License-Identifier: Apache-2.0
"""Sets on their way to the worker: each waits for its pose as long as it may, and none longer."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from bev_perception.geometry import (
    PinholeCamera,
    Rig,
    RigCamera,
    RigidTransform,
    TransformTree,
)
from bev_perception.perception import SynchronizedSet

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

from bev_perception.ros.ego_pose import EgoPoses
from bev_perception.ros.set_handover import SetHandover
from bev_perception.ros.set_processor import LiveSet, _frame_set

MS = 1_000_000
TIMEOUT_MS = 100
START_MS = 10_000
IDENTITY = RigidTransform.identity()


class Timer:
    """As rclpy's, of a clock that goes by hand."""

    def __init__(self, node: Node, period_s: float, callback: Callable[[], object]) -> None:
        self.timer_period_ns, self._node, self._callback = round(period_s * 1e9), node, callback
        self.reset()

    def reset(self) -> None:
        self._due_ns: int | None = self._node.now_ns + self.timer_period_ns

    def cancel(self) -> None:
        self._due_ns = None

    def is_canceled(self) -> bool:
        return self._due_ns is None

    def look(self) -> None:
        if self._due_ns is not None and self._node.now_ns >= self._due_ns:
            self._due_ns += self.timer_period_ns
            self._callback()


class Node:
    """What of a node a hand-over uses."""

    def __init__(self) -> None:
        self.now_ns = START_MS * MS
        self.timers: list[Timer] = []

    def get_clock(self) -> SimpleNamespace:
        return SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=self.now_ns))

    def create_timer(self, period_s: float, callback: Callable[[], object]) -> Timer:
        self.timers.append(Timer(self, period_s, callback))
        return self.timers[-1]

    def destroy_timer(self, timer: Timer) -> None:
        self.timers.remove(timer)


class Worker:
    """As NewestWorker, without a thread."""

    def __init__(self) -> None:
        self._waiting: LiveSet | None = None

    def put(self, live_set: LiveSet) -> LiveSet | None:
        replaced, self._waiting = self._waiting, live_set
        return replaced

    def clear(self) -> LiveSet | None:
        taken, self._waiting = self._waiting, None
        return taken

    def stop(self, timeout_s: float) -> bool:
        return True


RIG = Rig({"front": RigCamera(PinholeCamera.from_field_of_view(4, 3, 90.0), IDENTITY)})


class Drive:
    """30 images per second, each with a pose that is told tf_ms later; the engine takes no time."""

    def __init__(self, tf_ms: int | None) -> None:
        self.node, self.tree, self._tf_ms = Node(), TransformTree(10.0), tf_ms
        self.waited_ms: dict[int, int] = {}
        self.ages_ms: dict[int, int] = {}
        self.dropped: list[str] = []
        nothing = SimpleNamespace(
            pose_missing=lambda *_: None,
            pose_found=lambda *_: None,
            set_dropped=self.dropped.append,
        )
        processor = SimpleNamespace(process=None, is_ready=True, close=lambda: None)
        self.handover = SetHandover(
            self.node,
            EgoPoses(self.tree, "base_link"),
            TIMEOUT_MS * MS,
            processor,
            SimpleNamespace(transforms=nothing, engine=nothing, cameras={}),
            self.dropped.append,
        )
        self.handover._worker.stop()
        self.handover._worker = self.worker = Worker()

    def _process(self, live_set: LiveSet) -> None:
        stamp_ns = live_set.images.stamp_ns
        self.waited_ms[stamp_ns // MS] = (self.node.now_ns - stamp_ns) // MS
        self.ages_ms[stamp_ns // MS] = live_set.pose.age_ns // MS

    def run(self, duration_ms: int) -> list[int]:
        """Stamps of the sets that were there for the timeout, milliseconds."""
        stamps = []
        for now_ms in range(START_MS, START_MS + duration_ms):
            self.node.now_ns = now_ms * MS
            if self._tf_ms is not None and now_ms % 5 == 0:
                pose = RigidTransform.from_euler(translation=(now_ms, 0.0, 0.0))
                self.tree.add("odom", "base_link", (now_ms - self._tf_ms) * MS, pose)
                self.handover.look()
            if now_ms % 33 == 0:
                stamps.append(now_ms)
                self.handover.add(SynchronizedSet(now_ms * MS, {}))
            for timer in self.node.timers:
                timer.look()
            if (live_set := self.worker.clear()) is not None:
                self._process(live_set)
        self.handover.close()
        return [stamp for stamp in stamps if stamp + TIMEOUT_MS < START_MS + duration_ms]


@pytest.mark.parametrize("tf_ms", [10, 60, 95, 120, 180, 400])
def test_each_set_waits_for_its_own_time_and_none_is_lost(tf_ms: int) -> None:
    drive = Drive(tf_ms)
    served = drive.run(2000)
    assert len(served) > 50
    assert drive.dropped == []
    for stamp_ms in served:
        expected = min(tf_ms, TIMEOUT_MS)
        assert expected <= drive.waited_ms[stamp_ms] <= expected + 5
        assert drive.ages_ms[stamp_ms] <= max(0, tf_ms - TIMEOUT_MS) + 5


def test_a_set_tells_its_pipeline_in_which_world_its_pose_is() -> None:
    """Tracks and memory begin anew where that changes."""
    drive = Drive(tf_ms=0)
    drive.run(100)
    live_set = LiveSet(SynchronizedSet(START_MS * MS, {}), drive.handover._poses.at(START_MS * MS))
    assert _frame_set(live_set, {}, RIG).world_frame == "odom"


@pytest.mark.parametrize(
    ("motion_ms", "correction_ms", "age_ms"), [(0, 0, 0), (0, 400, 0), (250, 0, 250)]
)
def test_a_set_tells_its_pipeline_how_old_its_motion_is(
    motion_ms: int, correction_ms: int, age_ms: int
) -> None:
    """A late correction of map_T_odom moves no vehicle."""
    tree = TransformTree(10.0)
    tree.add("map", "odom", (START_MS - correction_ms) * MS, RigidTransform.identity())
    tree.add("odom", "base_link", (START_MS - motion_ms) * MS, RigidTransform.identity())
    pose = EgoPoses(tree, "base_link").at(START_MS * MS)
    live_set = LiveSet(SynchronizedSet(START_MS * MS, {}), pose, pose.world_T_base)
    found = _frame_set(live_set, {}, RIG)
    assert found.world_T_base is not None
    assert found.pose_age_ns == age_ms * MS


def test_without_any_pose_no_set_waits() -> None:
    drive = Drive(None)
    assert all(drive.waited_ms[stamp_ms] == 0 for stamp_ms in drive.run(500))


def test_while_the_clock_stands_still_sets_that_came_then_go_on_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drive = Drive(None)
    drive.tree.add("odom", "base_link", (START_MS - 50) * MS, RigidTransform.identity())
    seen: list[int] = []
    monkeypatch.setattr(drive.worker, "put", lambda live: seen.append(live.pose.age_ns))
    for offset_ms in (0, 33):
        drive.handover.add(SynchronizedSet((START_MS + offset_ms) * MS, {}))
    drive.handover.check_patience()
    assert seen == []
    monkeypatch.setattr("bev_perception.ros.one_shot.time.monotonic_ns", lambda: 10**18)
    drive.handover.check_patience()
    assert seen == [50 * MS, 83 * MS]
    drive.handover.close()
