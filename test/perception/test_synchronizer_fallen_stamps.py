# SPDX-License-Identifier: Apache-2.0
"""Stamps that fall back: one odd stamp wipes nothing, a clock that was set back takes all along."""

from __future__ import annotations

import random

import pytest
from frame_streams import MS, NAMES, as_arriving, contents, feed, frame
from hypothesis import given, settings
from hypothesis import strategies as st

from bev_perception.geometry import CameraFrame
from bev_perception.perception import Synchronizer

PERIOD_MS = 100


def moments(first_ms: int, count: int) -> list[CameraFrame]:
    """Of all cameras, as they are exposed: at most 6 ms apart."""
    return [
        frame(name, first_ms + PERIOD_MS * index + 2 * order)
        for index in range(count)
        for order, name in enumerate(NAMES)
    ]


def whole(first_ms: int, count: int) -> list[dict[str, float]]:
    return contents(feed(Synchronizer(NAMES), moments(first_ms, count)))


@settings(max_examples=80, deadline=None)
@given(
    camera=st.sampled_from(NAMES),
    index=st.integers(2, 12),
    off_ms=st.sampled_from([-60_000, -5000, -400, 400, 1000, 10_000, 3_600_000]),
    seed=st.integers(0, 10**6),
    max_delay_ms=st.sampled_from([0, 40, 150]),
)
def test_one_odd_stamp_of_one_camera_costs_others_nothing_and_it_hardly_more_than_that_frame(
    camera, index, off_ms, seed, max_delay_ms
):
    """Sets do not wait for it, as its odd frame seems to be a later one, nor for images that are
    late by more than a period, as it seems that time has passed."""
    frames = moments(100_000, 20)
    arriving = as_arriving(frames, seed, max_delay_ms)
    odd = [each for each in frames if each.camera == camera][index]
    arriving[arriving.index(odd)] = frame(camera, odd.stamp_ns / MS + off_ms)
    synchronizer = Synchronizer(NAMES)
    sets = feed(synchronizer, arriving) + synchronizer.flush()
    assert synchronizer.statistics.clock_jumps == 0
    found = [each for each in contents(sets) if len(each) > 1]
    with_it = sum(camera in each for each in found)
    assert 17 <= with_it <= 19
    others = [{name: ms for name, ms in each.items() if name != camera} for each in found]
    expected = whole(100_000, 20)
    for each in expected:
        del each[camera]
    if max_delay_ms < PERIOD_MS:
        assert others == expected
    assert sum(map(len, expected)) - sum(map(len, others)) <= 4


@pytest.mark.parametrize("back_ms", [400, 5000, 60_000])
def test_a_camera_whose_own_clock_is_set_back_loses_its_own_frames_alone(back_ms):
    synchronizer, sets = Synchronizer(NAMES), []
    for each in moments(100_000, 60):
        is_back = each.camera == "rear" and each.stamp_ns >= 102_000 * MS
        stamp_ms = each.stamp_ns / MS - back_ms * is_back
        sets += synchronizer.add(frame(each.camera, stamp_ms))
    sets += synchronizer.flush()
    assert synchronizer.statistics.clock_jumps == 0
    with_front = [found for found in sets if "front" in found.frames]
    assert len(with_front) == 60
    assert all({"left", "right"} <= set(found.frames) for found in with_front)


@settings(max_examples=80, deadline=None)
@given(
    back_ms=st.sampled_from([2100, 3000, 10_000, 90_000]),
    seed=st.integers(0, 10**6),
    max_delay_ms=st.sampled_from([0, 40, 150]),
)
def test_a_clock_that_was_set_back_is_noticed_whatever_arrives_first(back_ms, seed, max_delay_ms):
    """Frames of before and after arrive mixed; a few of them may be lost, the rest is whole."""
    before, after = moments(100_000, 20), moments(102_000 - back_ms, 20)
    rng = random.Random(seed)
    times: dict[str, float] = {}
    keyed = []
    for number, each in enumerate(before + after):
        at = PERIOD_MS * (number // len(NAMES)) + rng.uniform(0, max_delay_ms)
        times[each.camera] = max(at, times.get(each.camera, 0.0) + 1e-6)
        keyed.append((times[each.camera], number, each))
    synchronizer = Synchronizer(NAMES)
    sets = feed(synchronizer, [each for _, _, each in sorted(keyed, key=lambda entry: entry[:2])])
    assert synchronizer.statistics.clock_jumps >= 1
    expected = whole(102_000 - back_ms, 20)
    found = contents(sets + synchronizer.flush())
    assert found[-15:] == expected[-15:]
    if max_delay_ms == 0:
        assert found[-20:] == expected


@pytest.mark.parametrize("cameras", [("front",), ("front", "left")])
@pytest.mark.parametrize("back_ms", [500, 5000])
def test_the_last_camera_alive_is_believed_when_it_goes_on_behind(cameras, back_ms):
    """And none of its frames is lost meanwhile."""
    synchronizer = Synchronizer(cameras)
    feed(synchronizer, [frame("front", ms) for ms in range(100_000, 105_000, PERIOD_MS)])
    after = list(range(105_000 - back_ms, 106_000 - back_ms, PERIOD_MS))
    sets = feed(synchronizer, [frame("front", ms) for ms in after]) + synchronizer.flush()
    assert [each["front"] for each in contents(sets)][-len(after) :] == after
    assert synchronizer.statistics.clock_jumps == 1


def test_a_lone_frame_behind_is_waited_on_like_any_other():
    """A simulator that was reset and waits for the answer to its first image."""
    synchronizer = Synchronizer(("front",))
    feed(synchronizer, [frame("front", 5000), frame("front", 5100)])
    assert synchronizer.add(frame("front", 0)) == []
    assert synchronizer.waiting_stamp_ns == 0
    assert contents(synchronizer.give_up()) == [{"front": 0}]
    assert synchronizer.statistics.clock_jumps == 1
