# SPDX-License-Identifier: Apache-2.0
"""A running node with an IMU: its attitude, and that nothing stops without it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bev_perception.geometry import RigidTransform
from bev_perception.perception.imu_attitude import ImuTilt
from bev_perception.ros.camera_status import Level

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

SECOND = 1_000_000_000
TOPIC = "/bev/input/imu"
BASE_T_IMU = RigidTransform.from_euler(yaw=np.pi / 2.0, translation=(0.5, 0.0, 0.4))
PITCH_DEG = 2.0


def imu_message(stamp_ns: int, force: np.ndarray) -> Any:
    from sensor_msgs.msg import Imu

    message = Imu()  # its orientation is left as drivers without one leave it
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, SECOND)
    message.header.frame_id = "imu"
    axes = message.linear_acceleration
    axes.x, axes.y, axes.z = force.tolist()
    return message


@pytest.fixture
def node(client: Any, cameras: Any, perception_node: Callable[..., Any]) -> SimpleNamespace:
    from diagnostic_msgs.msg import DiagnosticArray
    from nav_msgs.msg import OccupancyGrid
    from sensor_msgs.msg import Imu

    perception_node(imu=True, diagnostics_period_s=0.1)
    grids = client.collect("/bev/occupancy_grid", OccupancyGrid)
    diagnoses = client.collect("/diagnostics", DiagnosticArray)
    cameras.wait_matched()
    for collected in (grids, diagnoses, client.publisher(TOPIC, Imu)):
        client.wait_matched(collected)
    return SimpleNamespace(client=client, grids=grids, diagnoses=diagnoses)


def told(node: SimpleNamespace, *words: str) -> Any:
    """The first status of the IMU that holds all words, from now on."""
    node.diagnoses.clear()

    def found(message: Any) -> bool:
        return any(
            status.name.endswith("imu") and all(word in status.message for word in words)
            for status in message.status
        )

    message = node.diagnoses.wait_until(found, what=f"a status of the IMU with {words}")
    return next(status for status in message.status if status.name.endswith("imu"))


def publish_set(node: SimpleNamespace, cameras: Any, stamp_ns: int) -> None:
    cameras.publish(stamp_ns)
    node.grids.wait_until(
        lambda grid: grid.header.stamp.sec * SECOND + grid.header.stamp.nanosec == stamp_ns
    )


@pytest.mark.slow
def test_an_imu_levels_the_map_and_nothing_stops_without_it(
    node: SimpleNamespace, cameras: Any
) -> None:
    from tf2_msgs.msg import TFMessage

    assert told(node, f"nothing has come on {TOPIC}").level == b"\x01"
    publish_set(node, cameras, SECOND)

    force = np.full(3, np.nan)
    node.client.publish(TOPIC, imu_message(SECOND, force))
    assert told(node, "linear_acceleration is [nan").level == b"\x01"

    level_R_base = RigidTransform.from_euler(0.0, np.radians(PITCH_DEG)).rotation
    force = (level_R_base @ BASE_T_IMU.rotation).T @ np.array([0.0, 0.0, 9.81])
    mounting = cameras.transform(0, "base_link", "imu", BASE_T_IMU)

    def stand(first_ns: int) -> None:
        """Eight seconds of samples, with a set now and then so that none is lost in a burst."""
        for number in range(160):
            stamp_ns = first_ns + number * SECOND // 20
            node.client.publish(TOPIC, imu_message(stamp_ns, force))
            if number % 5 == 4:
                publish_set(node, cameras, stamp_ns + SECOND // 50)

    stand(2 * SECOND)
    assert told(node, "no transform from its frame 'imu'").level == b"\x01"
    node.client.publish("/tf_static", TFMessage(transforms=[mounting]))
    for first_s in range(10, 100, 10):  # until the mounting is known and no sample was lost
        stand(first_s * SECOND)
        status = told(node, "imu: ")
        values = {entry.key: entry.value for entry in status.values}
        if "pitch_deg" in values:
            break
    assert float(values["pitch_deg"]) == pytest.approx(PITCH_DEG, abs=0.3)
    assert float(values["roll_deg"]) == pytest.approx(0.0, abs=0.1)

    assert told(node, f"nothing on {TOPIC} for").level == b"\x01"
    publish_set(node, cameras, 200 * SECOND)


def test_the_status_says_who_levels_the_map() -> None:
    from bev_perception.ros.imu_monitor import ImuMonitor

    monitor, now_ns = ImuMonitor(), SECOND
    assert monitor.statuses(now_ns) == []
    monitor.listens("/imu")
    for number in range(20):
        monitor.received(now_ns + number * SECOND // 100)
    now_ns += SECOND // 5
    level = RigidTransform.from_euler(0.0, np.radians(1.5))
    known = ImuTilt(level, 0.2, knows_acceleration=True, problem="")
    for tilt, is_needed, expected, words in (
        (known, True, Level.OK, "levels the map"),
        (known, False, Level.OK, "the ego pose tells roll and pitch"),
        (ImuTilt(problem="tilted by 180 degrees"), True, Level.WARN, "tilted by 180 degrees; the"),
        (ImuTilt(problem="tilted by 180 degrees"), False, Level.OK, "the ego pose tells"),
    ):
        monitor.asked(tilt, is_needed, now_ns)
        (status,) = monitor.statuses(now_ns)
        assert (status.level, monitor.level(now_ns)) == (expected, expected)
        assert words in status.message
    assert monitor.level(now_ns + 5 * SECOND) is Level.WARN
