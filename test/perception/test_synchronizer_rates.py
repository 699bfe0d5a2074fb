# SPDX-License-Identifier: Apache-2.0
"""Cameras of different rates: sets at the rate of the slowest one, and none with it missing."""

from __future__ import annotations

import random

import pytest
from frame_streams import MS, NAMES, contents, frame
from hypothesis import given, settings
from hypothesis import strategies as st

from bev_perception.geometry import CameraFrame
from bev_perception.perception import SynchronizedSet, Synchronizer

START_MS = 10_000
LEARNED_S = 20 / 10


def stream(
    name: str, rate_hz: float, phase_ms: float, jitter_ms: float, duration_s: float, seed: int
) -> list[CameraFrame]:
    rng = random.Random(f"{name}{seed}")
    return [
        frame(name, START_MS + phase_ms + 1e3 * index / rate_hz + rng.uniform(0, jitter_ms))
        for index in range(round(duration_s * rate_hz))
    ]


def run(frames: list[CameraFrame], latency_ms: float = 0.0) -> list[tuple[float, SynchronizedSet]]:
    """Sets and the time at which they come out, in milliseconds; each frame comes so much later."""
    synchronizer, sets = Synchronizer(NAMES), []
    for each in sorted(frames, key=lambda entry: entry.stamp_ns):
        now_ms = each.stamp_ns / MS + latency_ms
        sets += [(now_ms, found) for found in synchronizer.add(each)]
    received = sum(synchronizer.statistics.received.values())
    waiting = sum(len(found.queue) for found in synchronizer._streams.values())
    used = sum(len(found.frames) for _, found in sets)
    assert used + synchronizer.statistics.total_dropped + waiting == received
    return sets


@settings(max_examples=60, deadline=None)
@given(
    rates=st.lists(st.sampled_from([10.0, 15.0, 20.0, 30.0, 60.0]), min_size=2, max_size=2),
    phases=st.lists(st.floats(0.0, 15.0), min_size=4, max_size=4),
    jitter_ms=st.floats(0.0, 2.0),
    seed=st.integers(0, 10**6),
)
def test_faster_cameras_make_no_partial_sets(rates, phases, jitter_ms, seed):
    frames = [
        each
        for name, rate_hz, phase_ms in zip(NAMES, [*rates, 10.0, 10.0], phases)
        for each in stream(name, rate_hz, phase_ms, jitter_ms, 6.0, seed)
    ]
    later = [
        found for _, found in run(frames) if found.stamp_ns > (START_MS + 1e3 * LEARNED_S) * MS
    ]
    assert not any(found.missing for found in later)
    assert len(later) >= 38
    for found in later:
        stamps = [each.stamp_ns for each in found.frames.values()]
        assert max(stamps) - min(stamps) <= 50 * MS


@pytest.mark.parametrize("stops", [("rear",), ("left", "rear", "right")])
def test_a_slow_camera_that_stops_is_missing_within_the_timeout(stops: tuple[str, ...]) -> None:
    frames = [
        each
        for name in NAMES
        for each in stream(name, 30.0 if name == "front" else 10.0, 0.0, 2.0, 8.0, 1)
        if name not in stops or each.stamp_ns < (START_MS + 5000) * MS
    ]
    later = [each for each in run(frames) if each[1].stamp_ns > (START_MS + 1e3 * LEARNED_S) * MS]
    partial = [each for each in later if each[1].missing == stops]
    assert partial[0][1].stamp_ns < (START_MS + 5150) * MS
    for now_ms, found in partial:
        assert now_ms - found.stamp_ns / MS <= 200 + 100
    rate_hz = len(partial) / 3.0
    assert rate_hz == pytest.approx(10.0 if stops == ("rear",) else 30.0, rel=0.15)


def test_a_slow_camera_that_loses_a_frame_is_missing_in_that_set_alone() -> None:
    frames = [
        each
        for name in NAMES
        for each in stream(name, 30.0 if name == "front" else 10.0, 0.0, 2.0, 6.0, 2)
    ]
    lost = [each for each in frames if each.camera == "rear"][40]
    frames.remove(lost)
    sets = [found for _, found in run(frames) if found.stamp_ns > (START_MS + 2000) * MS]
    partial = [found for found in sets if found.missing]
    assert [found.missing for found in partial] == [("rear",)]
    assert abs(partial[0].stamp_ns - lost.stamp_ns) < 10 * MS
    assert len(contents(sets)) >= 38


@pytest.mark.parametrize("rates", [(10.0, 10.0, 10.0, 2.0), (30.0, 30.0, 30.0, 10.0)])
def test_one_slow_camera_slows_the_others_down_neither_alone_nor_beyond_the_timeout(
    rates: tuple[float, ...],
) -> None:
    frames = [
        each
        for name, rate_hz in zip(NAMES, rates)
        for each in stream(name, rate_hz, 0.0, 1.0, 10.0, 3)
    ]
    later = [found for _, found in run(frames) if found.stamp_ns > (START_MS + 8000) * MS]
    complete = [found for found in later if not found.missing]
    assert len(complete) == pytest.approx(2.0 * rates[-1], abs=2)
    assert len(later) == pytest.approx(2.0 * rates[0], abs=4)
