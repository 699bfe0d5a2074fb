# SPDX-License-Identifier: Apache-2.0
"""How a simulator's drive is held back to simulated time."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("rclpy", reason="the room ros/ is imported, no ROS 2 here")

from bev_perception.ros import pace
from bev_perception.ros.pace import Pace


class Time:
    """In the place of the clock and of the event that is waited for."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(pace, "time", time)
    return time


def due(time: Any, held: Pace, work_s: list[float]) -> list[float]:
    """When each set may go, seconds from the first; work_s is spent after each."""
    moments = []
    for seconds in work_s:
        held.wait(time)
        moments.append(round(time.now_s - 100.0, 9))
        time.now_s += seconds
    return moments


def test_sets_come_no_faster_than_the_factor_allows(time: Time) -> None:
    assert due(time, Pace(10.0, 1.0), [0.0, 0.02, 0.09, 0.0]) == [0.0, 0.1, 0.2, 0.3]


def test_twice_real_time_is_half_the_period(time: Time) -> None:
    assert due(time, Pace(10.0, 2.0), [0.0, 0.0, 0.0]) == [0.0, 0.05, 0.1]


def test_one_late_set_is_made_up_for(time: Time) -> None:
    assert due(time, Pace(10.0, 1.0), [0.0, 0.15, 0.0, 0.0]) == [0.0, 0.1, 0.25, 0.3]


def test_more_than_one_late_set_is_not(time: Time) -> None:
    assert due(time, Pace(10.0, 1.0), [0.0, 0.5, 0.0, 0.0]) == [0.0, 0.1, 0.6, 0.7]


def test_without_a_limit_nothing_is_waited_for(time: Time) -> None:
    assert due(time, Pace(10.0, 0.0), [0.0, 0.0]) == [0.0, 0.0]
