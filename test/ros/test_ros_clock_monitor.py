# SPDX-License-Identifier: Apache-2.0
"""A clock that follows /clock and stands still is named, with the cause and what to do."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock

from bev_perception.perception import SynchronizerStatistics
from bev_perception.ros import clock_monitor
from bev_perception.ros.camera_status import Level
from bev_perception.ros.clock_monitor import ClockMonitor
from bev_perception.ros.node_monitor import NodeMonitor
from bev_perception.ros.parameters import declare_parameters, read_parameters

SECOND = 1_000_000_000


def judged(times_s: list[float], publishers: int = 1, sim: bool = True) -> tuple[Level, str]:
    """The last verdict on a clock that is looked at each second."""
    monitor = ClockMonitor()
    for second, time_s in enumerate(times_s):
        status = monitor.status(int(time_s * SECOND), second * SECOND, sim, publishers)
    return status.level, status.message


def test_a_clock_that_goes_is_well() -> None:
    assert judged([5.0, 5.1, 5.2, 5.3]) == (Level.OK, "clock: follows /clock")
    assert judged([5.0, 5.0, 5.0, 5.0, 5.1])[0] is Level.OK
    assert judged([9.0, 9.1, 0.0, 0.1])[0] is Level.OK


@pytest.mark.parametrize(
    ("times_s", "text"), [([9.0, 1.0], "back by 8.0 s"), ([9.0, 99.0], "ahead by 90.0 s")]
)
def test_a_clock_that_jumps_is_told_of_for_a_while(times_s: list[float], text: str) -> None:
    level, message = judged(times_s)
    assert (level, text in message) == (Level.WARN, True), message
    assert judged([*times_s, times_s[-1] + 0.1])[0] is Level.OK
    assert judged([0.0, 1e9])[0] is Level.OK, "the first time that comes is no jump"


def test_the_systems_clock_needs_no_topic() -> None:
    assert judged([7.0] * 9, publishers=0, sim=False) == (Level.OK, "clock: the system's")


def test_no_clock_is_an_error_that_tells_who_should_publish_it() -> None:
    assert judged([0.0, 0.0], publishers=0)[0] is Level.OK, "discovery takes a moment"
    level, text = judged([0.0, 0.0, 0.0, 0.0], publishers=0)
    assert level is Level.ERROR
    assert "use_sim_time is true, but no time has come: nobody publishes /clock" in text
    assert "bev play --clock" in text


def test_a_clock_that_stops_is_told_apart_from_one_whose_sender_has_gone() -> None:
    level, text = judged([4.0, 5.0, 5.0, 5.0, 5.0])
    assert (level, "stands still since 3.0 s: 1 publish /clock" in text) == (Level.WARN, True), text
    assert "nobody publishes" in judged([4.0, 5.0, 5.0, 5.0, 5.0], publishers=0)[1]


def test_the_node_logs_that_its_clock_stands_and_that_it_goes_again(
    ros_environment: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(clock_monitor, "PATIENCE_S", 0.0)
    node = ros_environment.create_node(
        "bev", parameter_overrides=[Parameter("use_sim_time", value=True)]
    )
    declare_parameters(node)
    monitor = NodeMonitor(node, read_parameters(node), {}, dict)
    for _ in range(3):
        monitor.publish(SynchronizerStatistics(), {})
    assert capfd.readouterr().err.count("nobody publishes /clock") == 1
    monkeypatch.setattr(clock_monitor, "PATIENCE_S", 60.0)
    node.create_publisher(Clock, "/clock", 10)
    monitor.publish(SynchronizerStatistics(), {})
    assert "clock: follows /clock" in capfd.readouterr().err
    node.destroy_node()
