# SPDX-License-Identifier: Apache-2.0
"""What /diagnostics says of a process that took over, told by a supervisor's messages."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

from bev_perception.ros.camera_status import Level
from bev_perception.ros.process_monitor import NEWS_NS, ProcessMonitor
from bev_perception.supervision.channel import Channel
from bev_perception.supervision.supervised_life import SupervisedLife


def test_a_takeover_is_a_warning_for_a_while_and_a_standby_that_cannot_load_is_one() -> None:
    supervisor, end = Channel.pair()
    life = SupervisedLife(Channel(end))
    supervisor.send(
        {"do": "take over", "restarts": 2, "cause": "was killed by SIGKILL", "memory": {}}
    )
    assert life.wait(lambda order: "")
    assert life.takeover is not None
    monitor, at_ns = ProcessMonitor(life), life.takeover.at_ns

    (status,) = monitor.statuses(at_ns + 1)
    assert status.level is Level.WARN
    assert "took over 0 s ago: the process before was killed by SIGKILL" in status.message
    assert status.values["restarts"] == "2"
    (later,) = monitor.statuses(at_ns + NEWS_NS)
    assert later.level is Level.OK
    assert "was killed by SIGKILL; no process is on standby yet" in later.message

    supervisor.send({"standby": "ready", "problem": ""})
    (ready,) = monitor.statuses(at_ns + NEWS_NS)
    assert ready.message.endswith("another process is on standby")
    supervisor.send({"standby": "ready", "problem": "no memory"})
    (poor,) = monitor.statuses(at_ns + NEWS_NS)
    assert poor.level is Level.WARN
    assert "no network on standby: no memory" in poor.message


def test_a_process_that_nobody_supervises_has_no_status() -> None:
    assert ProcessMonitor().statuses(0) == []
    assert ProcessMonitor().level(0) is Level.OK
