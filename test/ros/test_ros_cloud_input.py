# SPDX-License-Identifier: Apache-2.0
"""Which cloud a set gets, how it is moved, and how long the set waits for it."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from bev_perception.geometry import RigidTransform, TransformTree

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

from rclpy.serialization import serialize_message
from test_ros_point_clouds import points_message

from bev_perception.ros.cloud_input import CloudInput
from bev_perception.ros.cloud_monitor import CloudMonitor
from bev_perception.ros.ego_pose import EgoPoses

MS = 1_000_000
START = 10_000 * MS
SPEED = 15.0
TIMEOUT_S = 0.05
POINT = np.array([[20.0, 3.0, 1.0]])


class Lidar:
    """The input of a node that is not there, and a vehicle at SPEED along x."""

    def __init__(self, has_mounting: bool = True, timeout_s: float = TIMEOUT_S) -> None:
        self.tree = TransformTree(10.0)
        if has_mounting:
            self.mount()
        self.poses = EgoPoses(self.tree, "base_link")
        node = SimpleNamespace(
            resolve_topic_name=lambda name: name, create_subscription=lambda *_, **__: None
        )
        parameters = SimpleNamespace(
            base_frame="base_link",
            points_tolerance_ns=50 * MS,
            points_timeout_ms=1e3 * timeout_s,
            max_image_rate_hz=1e6,
            max_image_mb=10.0,
        )
        self.input = CloudInput(node, parameters, self.tree, self.poses, CloudMonitor())

    def mount(self) -> None:
        self.tree.add_static("base_link", "lidar_top", RigidTransform.identity())
        if hasattr(self, "input"):
            self.input.look()

    def drive(self, stamp_ns: int, corrected_m: float | None = None) -> None:
        """Odometry at a time; the correction by a localisation, where it comes then."""
        place = SPEED * (stamp_ns - START) / 1e9
        if corrected_m is not None:
            self.tree.add("map", "odom", stamp_ns, _along(corrected_m))
        self.tree.add("odom", "base_link", stamp_ns, _along(place))
        self.input.look()

    def scan(self, stamp_ns: int) -> None:
        """A cloud of POINT."""
        self.input._receive(serialize_message(points_message(stamp_ns, POINT)))

    def seen_from(self, stamp_ns: int) -> tuple[float | None, float]:
        """How far ahead the point of a set is, None without a cloud, and how long that took."""
        pose, began = self.poses.at(stamp_ns), time.monotonic()
        found = self.input.at(stamp_ns, pose)
        took_s = time.monotonic() - began
        return None if found is None else float(found[0, 0]), took_s


def _along(x: float) -> RigidTransform:
    return RigidTransform.from_euler(translation=(x, 0.0, 0.0))


@pytest.mark.parametrize("cloud_ms", [-40, -10, 0, 15, 45])
@pytest.mark.parametrize("lag_ms", [0, 20, 60, 120, 400])
def test_a_cloud_is_moved_by_poses_that_are_exact_or_not_at_all(cloud_ms: int, lag_ms: int) -> None:
    """TF ends lag_ms before the images."""
    lidar = Lidar()
    for tick in range(11):
        lidar.drive(START + 100 * tick * MS)
    set_ns = START + (1000 + lag_ms) * MS
    lidar.scan(set_ns + cloud_ms * MS)
    ahead, _ = lidar.seen_from(set_ns)
    is_known = lag_ms == 0 and cloud_ms <= 0
    travelled = SPEED * -cloud_ms / 1e3 if is_known else 0.0
    assert ahead == pytest.approx(20.0 - travelled, abs=1e-6)


def test_corrections_of_a_localisation_do_not_move_clouds() -> None:
    """It is found 1.2 m to the back between a cloud and its images."""
    lidar = Lidar()
    lidar.drive(START, corrected_m=0.0)
    lidar.drive(START + 60 * MS)
    lidar.scan(START + 60 * MS)
    lidar.drive(START + 80 * MS, corrected_m=-1.2)
    lidar.drive(START + 100 * MS)
    ahead, took_s = lidar.seen_from(START + 100 * MS)
    assert ahead == pytest.approx(20.0 - SPEED * 0.04, abs=1e-6)
    assert took_s < TIMEOUT_S


def test_a_cloud_of_a_moment_later_waits_for_the_pose_of_that_moment() -> None:
    lidar = Lidar(timeout_s=5.0)
    lidar.drive(START)
    lidar.scan(START + 20 * MS)
    threading.Timer(0.1, lidar.drive, (START + 40 * MS,)).start()
    ahead, _ = lidar.seen_from(START)
    assert ahead == pytest.approx(20.0 + SPEED * 0.02, abs=1e-6)


@pytest.mark.parametrize(("offset_ms", "has_mounting"), [(-300, True), (2000, True), (0, False)])
def test_clouds_that_no_set_can_use_hold_up_three_sets_and_no_more(
    offset_ms: int, has_mounting: bool
) -> None:
    """A clock that is off, or a mounting that nobody tells; then it is mended."""
    lidar, waits = Lidar(has_mounting), []
    for tick in range(12):
        now_ns = START + 100 * tick * MS
        lidar.drive(now_ns)
        lidar.scan(now_ns + offset_ms * MS)
        ahead, took_s = lidar.seen_from(now_ns)
        assert ahead is None
        waits.append(took_s >= TIMEOUT_S)
        time.sleep(TIMEOUT_S / 2)  # so that the next sets' clouds are too late for this one
    assert waits == [True] * 3 + [False] * 9

    lidar.mount()
    for tick in range(12, 15):  # 5 ms behind the images, so only who waits gets them
        now_ns = START + 100 * tick * MS
        lidar.drive(now_ns)
        threading.Timer(0.005, lidar.scan, (now_ns,)).start()
        ahead, _ = lidar.seen_from(now_ns)
        time.sleep(0.01)
        assert ahead is not None or tick == 12


def test_clouds_that_always_come_too_late_do_not_make_sets_wait_again() -> None:
    lidar, waits = Lidar(), []
    for tick in range(8):
        now_ns = START + 100 * tick * MS
        lidar.drive(now_ns)
        _, took_s = lidar.seen_from(now_ns)
        waits.append(took_s >= TIMEOUT_S)
        time.sleep(1.5 * TIMEOUT_S)
        lidar.scan(now_ns)
    assert waits == [True] * 3 + [False] * 5
