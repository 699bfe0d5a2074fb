# SPDX-License-Identifier: Apache-2.0
"""Cameras that fall silent, and cameras whose clocks are wrong, hold nobody up for long."""

from __future__ import annotations

import numpy as np
import pytest
from frame_streams import MS, contents, feed, frame

from bev_perception.perception import Synchronizer


def silence(
    synchronizer: Synchronizer, first_ms: float, num_sets: int
) -> list[tuple[float, float]]:
    """(stamp of a set, stamp of the frame that brought it out), front and left sending at 10 Hz."""
    return [
        (found.stamp_ns / MS, ms)
        for ms in np.arange(num_sets) * 100 + first_ms
        for name in ("front", "left")
        for found in synchronizer.add(frame(name, ms))
    ]


@pytest.mark.parametrize("sent_before", [True, False])
def test_a_camera_that_fell_silent_does_not_delay_every_set(sent_before):
    synchronizer = Synchronizer(("front", "left", "rear"), timeout_ns=200 * MS)
    if sent_before:
        synchronizer.add(frame("rear", 0))
    given = silence(synchronizer, 100, 30)
    delays = [brought_ms - stamp_ms for stamp_ms, brought_ms in given if stamp_ms >= 100]
    assert synchronizer.silent_cameras == ("rear",)
    assert max(delays) == 300
    assert delays[-20:] == [0] * 20
    assert len(delays) == 30


def test_a_silent_camera_is_waited_for_again_from_its_first_frame():
    synchronizer = Synchronizer(("front", "left", "rear"), timeout_ns=200 * MS)
    silence(synchronizer, 0, 20)
    assert synchronizer.add(frame("rear", 1900)) == []
    assert synchronizer.statistics.dropped["rear"] == {"late": 1}
    assert synchronizer.silent_cameras == ()
    assert silence(synchronizer, 2000, 1) == []
    assert contents(synchronizer.add(frame("rear", 2000))) == [
        {"front": 2000, "left": 2000, "rear": 2000}
    ]


def test_a_camera_whose_clock_lags_delays_only_the_first_sets():
    """Its frames are refused, and what is refused is not worth waiting for."""
    synchronizer = Synchronizer(("front", "left", "rear"), timeout_ns=200 * MS)
    for index in range(20):
        synchronizer.add(frame("rear", index * 100))
        silence(synchronizer, 60_000 + index * 100, 1)
    assert synchronizer.silent_cameras == ("rear",)
    assert silence(synchronizer, 62_000, 1) == [(62_000, 62_000)]


def test_a_short_loss_is_waited_out():
    synchronizer = Synchronizer(("front", "left", "rear"), timeout_ns=200 * MS)
    synchronizer.add(frame("rear", 0))
    silence(synchronizer, 0, 6)
    assert synchronizer.silent_cameras == ()


def test_giving_up_goes_on_with_one_anchor_at_a_time():
    synchronizer = Synchronizer(("front", "left"), timeout_ns=1000 * MS)
    assert synchronizer.waiting_stamp_ns is None
    assert synchronizer.give_up() == []
    feed(synchronizer, [frame("front", 0), frame("front", 100)])
    assert synchronizer.waiting_stamp_ns == 0
    assert contents(synchronizer.give_up()) == [{"front": 0}]
    assert synchronizer.waiting_stamp_ns == 100 * MS
    assert contents(synchronizer.add(frame("left", 105))) == [{"front": 100, "left": 105}]
    assert synchronizer.waiting_stamp_ns is None


def test_a_camera_that_was_given_up_again_and_again_is_silent():
    """The caller's clock says so where no stamps come that could."""
    synchronizer = Synchronizer(("front", "left"), timeout_ns=200 * MS)
    for index in range(8):
        synchronizer.add(frame("front", index * 150))
        synchronizer.give_up()
    assert synchronizer.silent_cameras == ("left",)
    assert contents(synchronizer.add(frame("front", 1200))) == [{"front": 1200}]


def test_a_camera_whose_clock_runs_ahead_does_not_tear_the_others_apart():
    synchronizer = Synchronizer(("front", "left", "rear"))
    sets = []
    for index in range(50):
        sets += synchronizer.add(frame("rear", 3_600_000 + index * 100))
        sets += synchronizer.add(frame("front", index * 100))
        sets += synchronizer.add(frame("left", index * 100 + 3))
    assert contents(sets) == [
        {"front": index * 100, "left": index * 100 + 3} for index in range(50)
    ]


def test_a_camera_that_came_first_with_a_wrong_clock_does_not_lock_the_others_out():
    synchronizer = Synchronizer(("front", "left", "rear"))
    feed(synchronizer, [frame("rear", 3_600_000 + index * 100) for index in range(5)])
    sets = []
    for index in range(10):
        sets += feed(synchronizer, [frame("front", index * 100), frame("left", index * 100)])
        sets += synchronizer.add(frame("rear", 3_600_500 + index * 100))
    pairs = [found for found in contents(sets) if set(found) == {"front", "left"}]
    assert len(pairs) >= 8
    assert pairs[-1] == {"front": 900, "left": 900}


def test_a_camera_whose_clock_lags_loses_its_own_frames_only():
    synchronizer = Synchronizer(("front", "left", "rear"))
    sets = []
    for index in range(50):
        for name in ("front", "left"):
            sets += synchronizer.add(frame(name, 3_600_000 + index * 100))
        sets += synchronizer.add(frame("rear", index * 100))
    pairs = [found for found in sets if "front" in found.frames]
    assert all("left" in found.frames for found in pairs)
    assert len(pairs) >= 47


def test_the_last_camera_alive_is_served_in_the_end():
    synchronizer = Synchronizer(("front", "left", "rear"), max_queue=10)
    feed(synchronizer, [frame("left", 0)])
    sets = feed(synchronizer, [frame("front", 500 + index * 100) for index in range(100)])
    assert contents(sets)[0] == {"left": 0}
    assert len(sets) > 80


def test_a_clock_that_jumps_back_starts_anew():
    synchronizer = Synchronizer(("front", "left"))
    feed(synchronizer, [frame("front", 10_000), frame("left", 10_000), frame("front", 10_100)])
    sets = feed(synchronizer, [frame("front", 0), frame("left", 1), frame("left", 100)])
    assert contents(sets) == [{"front": 0, "left": 1}]
    assert synchronizer.statistics.clock_jumps == 1
    assert synchronizer.statistics.dropped["front"] == {"clock jump": 1}


def test_many_cameras_with_one_silent_cost_no_combinations():
    names = [f"camera_{index}" for index in range(12)]
    synchronizer = Synchronizer(names, timeout_ns=2_000 * MS)
    sets = feed(
        synchronizer,
        [frame(name, index * 100) for index in range(300) for name in names[:-1]],
    )
    sets += synchronizer.flush()
    assert len(sets) == 300
    assert {found.missing for found in sets} == {(names[-1],)}
