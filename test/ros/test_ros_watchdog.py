# SPDX-License-Identifier: Apache-2.0
"""Work that does not end is noticed, slow work is left alone, and overruns are told apart."""

from __future__ import annotations

import pytest

from bev_perception.ros.camera_status import Level
from bev_perception.ros.timing_monitor import TimingMonitor
from bev_perception.ros.watchdog import Hang, Watchdog

MILLISECOND = 1_000_000
SECOND = 1_000_000_000


class Clock:
    """Steady time that a test moves."""

    def __init__(self) -> None:
        self.now_ns = 5 * SECOND

    def __call__(self) -> int:
        return self.now_ns

    def pass_ms(self, milliseconds: float) -> None:
        self.now_ns += round(milliseconds * MILLISECOND)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def work(watchdog: Watchdog, clock: Clock, milliseconds: float) -> None:
    watchdog.begin("decode")
    clock.pass_ms(milliseconds)
    watchdog.end()


def test_overdue_work_is_named_with_its_stage_until_it_ends(clock: Clock) -> None:
    watchdog = Watchdog(0.6, clock)
    watchdog.begin("decode")
    clock.pass_ms(100)
    watchdog.enter("engine")
    clock.pass_ms(500)
    assert watchdog.hang() is None
    clock.pass_ms(1)
    assert watchdog.hang() == Hang("engine", pytest.approx(0.601), 0.6)
    watchdog.end()
    assert watchdog.hang() is None


def test_idle_time_is_no_hang_and_no_limit_means_never(clock: Clock) -> None:
    watchdog, never = Watchdog(0.6, clock), Watchdog(0.0, clock)
    never.begin("engine")
    work(watchdog, clock, 50)
    clock.pass_ms(3_600_000)
    assert watchdog.hang() is None
    assert never.hang() is None
    never.end()
    assert not never.is_stale(0)


def test_a_network_that_is_always_slow_does_not_hang_but_one_hang_raises_no_limit(
    clock: Clock,
) -> None:
    watchdog = Watchdog(0.6, clock)
    for _ in range(3):
        work(watchdog, clock, 1_000)
    assert watchdog.limit_s == pytest.approx(4.0)
    for _ in range(4):
        work(watchdog, clock, 30)
    work(watchdog, clock, 60_000)
    assert watchdog.limit_s == pytest.approx(0.6)


def test_what_waited_behind_a_hang_is_stale_what_came_of_late_is_not(clock: Clock) -> None:
    watchdog = Watchdog(0.6, clock)
    begun_ns = clock.now_ns
    work(watchdog, clock, 50)
    assert not watchdog.is_stale(begun_ns)
    work(watchdog, clock, 3_000)
    assert watchdog.is_stale(clock.now_ns - 700 * MILLISECOND)
    assert not watchdog.is_stale(clock.now_ns - 500 * MILLISECOND)


def published(monitor: TimingMonitor, number: int, **timings_ms: float) -> None:
    total = sum(timings_ms.values())
    monitor.set_published({**timings_ms, "total": total}, number * 100 * MILLISECOND)


def test_overruns_are_counted_and_the_stage_that_takes_most_of_them_is_named() -> None:
    monitor = TimingMonitor(100)
    for number in range(40):
        published(monitor, number, wait=5.0, engine=60.0, publish=2.0)
    assert monitor.status(4 * SECOND).level is Level.OK
    for number in range(40, 44):
        published(monitor, number, wait=5.0, engine=30.0, publish=120.0)
    published(monitor, 44, wait=5.0, engine=295.0, publish=2.0)
    status = monitor.status(4_500 * MILLISECOND)
    assert status.level is Level.WARN
    assert "11 % of the sets" in status.message
    assert "stage publish; a subscriber" in status.message
    assert status.values["overruns"] == "5"
    assert status.values["overrun share %"] == "11.11"
    assert status.values["worst stage"] == "publish"
    assert status.values["worst overrun_ms"] == "302.0"
    assert status.values["worst overrun's stage"] == "engine"


def test_a_warning_ends_when_sets_are_in_time_again_and_the_counts_stay() -> None:
    monitor = TimingMonitor(100)
    for number in range(3):
        published(monitor, number, engine=400.0)
    assert monitor.status(SECOND // 2).level is Level.WARN
    for number in range(3, 10):
        published(monitor, number, engine=40.0)
    assert monitor.status(SECOND).level is Level.OK  # long before they leave the share of late
    published(monitor, 30, engine=400.0)
    for number in range(31, 80):
        published(monitor, number, engine=40.0)
    status = monitor.status(8 * SECOND)
    assert status.level is Level.OK
    assert (status.values["overruns"], status.values["worst stage"]) == ("4", "engine")


def test_sets_dropped_after_a_hang_are_overruns_even_without_a_budget() -> None:
    monitor = TimingMonitor(0)
    published(monitor, 0, engine=400.0)
    monitor.set_too_late(900.0, "engine", SECOND)
    status = monitor.status(SECOND)
    assert status.values["overruns"] == "1"
    monitor.hangs(Hang("engine", 0.9, 0.6))
    status = monitor.status(SECOND)
    assert status.level is Level.ERROR
    assert "the stage engine hangs" in status.message
    assert "watchdog_s" in status.message
