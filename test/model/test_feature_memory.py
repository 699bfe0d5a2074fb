# SPDX-License-Identifier: Apache-2.0
"""When a memory takes a set, when it empties itself, and when it keeps out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from memory_samples import SECOND, at

from bev_perception.errors import ConfigurationError
from bev_perception.geometry.planar import EgoMoment, PlanarPose
from bev_perception.model.feature_memory import Entry, FeatureMemory, GroundState, QueueState
from bev_perception.model.memory_config import MemoryConfig

FEATURE = torch.zeros(1, 1, 1)


def go_on(memory: FeatureMemory, moment: EgoMoment | None) -> QueueState:
    """One set; gives what the memory holds after it."""
    state, _ = memory.begin(moment)
    assert isinstance(state, QueueState)
    if moment is not None:
        memory.store(state.pushed(Entry(moment, FEATURE), memory.config))
    held = memory._now
    assert isinstance(held, QueueState)
    return held


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("interval_s", [0.027, 0.25, 1.0])
def test_features_are_taken_at_the_configured_rate_however_stamps_jitter(
    seed: int, interval_s: float
) -> None:
    random = np.random.default_rng(seed)
    memory = FeatureMemory(MemoryConfig("queue", interval_s=interval_s, distance_slots=0))
    period_s = interval_s / random.uniform(2.0, 5.0)
    stamps = np.arange(300) * period_s + random.uniform(-0.4, 0.4, 300) * period_s + 5.0
    taken, newest = 0, None
    for seconds in stamps:
        held = go_on(memory, at(float(seconds))).by_time[0]
        taken += held is not newest
        newest = held
    assert abs(taken - (stamps[-1] - stamps[0]) / interval_s) <= 2


@pytest.mark.parametrize("seed", range(5))
def test_a_feature_is_taken_whenever_the_vehicle_is_a_distance_from_the_last(seed: int) -> None:
    random = np.random.default_rng(seed)
    config = MemoryConfig("queue", distance_m=1.0, time_slots=0, distance_slots=50)
    memory = FeatureMemory(config)
    along = np.cumsum(random.uniform(0.0, 0.4, 100))
    for index, x in enumerate(along):
        held = go_on(memory, at(0.1 * index, x=float(x))).by_distance
    places = [entry.moment.world_T_level.x for entry in reversed(held)]
    steps = np.diff(places)
    assert (steps >= 1.0).all()
    assert (steps < 1.4).all()
    assert along[-1] - places[-1] < 1.0


def test_standing_adds_nothing_by_distance_and_keeps_what_was_taken() -> None:
    memory = FeatureMemory(MemoryConfig("queue", interval_s=0.5, max_age_s=1.0))
    for index in range(5):
        go_on(memory, at(0.1 * index, x=1.5 * index))
    places = [entry.moment for entry in memory._now.by_distance]
    for index in range(5, 60):
        held = go_on(memory, at(0.1 * index, x=6.0))
    assert [entry.moment for entry in held.by_distance] == places
    assert all(held.by_time[0].moment.stamp_ns - e.moment.stamp_ns <= SECOND for e in held.by_time)


@pytest.mark.parametrize(
    ("moment", "reason"),
    [
        (at(9.9), "backwards"),
        (at(1.0), "backwards"),
        (at(14.0), "no set for"),
        (at(10.1, x=300.0), "jumped by"),
        (at(10.1, yaw=2.0), "degrees"),
        (at(10.1, x=float("nan")), "jumped by"),
    ],
    ids=["out of order", "clock jump", "pause", "teleport", "turned", "no number"],
)
def test_what_does_not_go_on_from_the_set_before_empties_the_memory(
    moment: EgoMoment, reason: str
) -> None:
    memory = FeatureMemory(MemoryConfig("queue"))
    for seconds in (9.0, 9.5, 10.0):
        held = go_on(memory, at(seconds))
    assert len(held.by_time) == 2
    assert memory.recalled
    held = go_on(memory, moment)
    assert not memory.recalled
    assert memory.times_emptied == 1
    assert reason in memory.reason
    assert [entry.moment for entry in held.by_time] == [moment]


@pytest.mark.parametrize("side", ["ahead", "back", "left", "right"])
@pytest.mark.parametrize(("rate_hz", "jump_m"), [(10.0, 8.0), (2.0, 30.0)])
def test_a_teleport_is_noticed_by_the_motion_so_far(
    rate_hz: float, jump_m: float, side: str
) -> None:
    """At 10 m/s, far below the speed limit."""
    memory = FeatureMemory(MemoryConfig("queue"))
    for index in range(6):
        go_on(memory, at(index / rate_hz, x=10.0 * index / rate_hz))
    assert memory.times_emptied == 0
    x, y = {"ahead": (1, 0), "back": (-1, 0), "left": (0, 1), "right": (0, -1)}[side]
    there = [at(t, 10.0 * t + jump_m * x, jump_m * y) for t in np.arange(6, 12) / rate_hz]
    held = go_on(memory, there[0])
    assert (memory.times_emptied, "its motion led" in memory.reason) == (1, True)
    assert [entry.moment for entry in held.by_time] == [there[0]]
    for moment in there[1:]:
        go_on(memory, moment)
    assert memory.times_emptied == 1


@pytest.mark.parametrize("seed", range(20))
def test_braking_swerving_corrections_and_uneven_sets_are_no_jumps(seed: int) -> None:
    """Accelerations up to 10 m/s^2, sets 20 ms to 1 s apart, poses that jump by up to 0.8 m."""
    random = np.random.default_rng(seed)
    memory = FeatureMemory(MemoryConfig("queue"))
    seconds, place, velocity = 0.0, np.zeros(2), random.uniform(-15.0, 15.0, 2)
    for _ in range(100):
        count = int(random.integers(1, 51))
        angle, push = random.uniform(-np.pi, np.pi), random.uniform(0.0, 10.0)
        for _ in range(count):
            velocity = velocity + 0.02 * push * np.array([np.cos(angle), np.sin(angle)])
            velocity *= min(1.0, 30.0 / np.linalg.norm(velocity))
            place = place + 0.02 * velocity
        seconds += 0.02 * count
        x, y = (place + random.uniform(-0.3, 0.3, 2)).tolist()
        go_on(memory, at(seconds, x, y))
        assert memory.reason == ""


def test_a_pose_in_another_frame_is_another_place() -> None:
    memory = FeatureMemory(MemoryConfig("gru"))
    for index, frame in enumerate(["map", "map", "odom", "odom", "map"]):
        memory.begin(replace(at(0.1 * index, x=0.1 * index), world_frame=frame))
        memory.store(GroundState(FEATURE, PlanarPose(), 10**8 * index))
        assert memory.recalled == (index in (1, 3))
    assert memory.times_emptied == 2
    assert memory.reason == "the vehicle's pose is told in 'map', before 'odom'"


def test_driving_fast_and_turning_is_no_jump() -> None:
    memory = FeatureMemory(MemoryConfig("queue"))
    for index in range(20):
        go_on(memory, at(0.5 * index, x=25.0 * index, yaw=0.5 * index))
    assert memory.times_emptied == 0


def test_sets_without_a_pose_neither_use_nor_change_the_memory() -> None:
    memory = FeatureMemory(MemoryConfig("queue"))
    before = go_on(memory, at(1.0))
    state, _ = memory.begin(None)
    assert state.is_empty
    assert not memory.recalled
    assert "pose is not known" in memory.status
    assert memory._now is before
    memory.begin(at(1.5))
    assert memory.recalled


def test_a_set_that_comes_again_is_answered_as_before_and_changes_nothing() -> None:
    memory = FeatureMemory(MemoryConfig("queue", interval_s=0.1, time_slots=1, distance_slots=0))
    for seconds in (1.0, 1.1, 1.2):
        remembered, motion = memory.begin(at(seconds, x=seconds))
        memory.store(remembered.pushed(Entry(at(seconds), FEATURE), memory.config))
    after = memory._now
    again, same_motion = memory.begin(at(1.2, x=1.2))
    memory.store(QueueState())
    assert again is remembered
    assert same_motion == motion
    assert memory._now is after


def test_motion_between_sets_is_what_the_wheels_say() -> None:
    memory = FeatureMemory(MemoryConfig("gru"))
    memory.begin(at(1.0, x=2.0, y=1.0, yaw=0.3))
    memory.store(GroundState(FEATURE, PlanarPose(), taken_ns=SECOND))
    _, motion = memory.begin(at(1.5, x=5.0, y=5.0, yaw=0.2))
    assert motion.speed == pytest.approx(10.0)
    assert motion.yaw_rate == pytest.approx(-0.2)
    assert motion.since_s == pytest.approx(0.5)


def test_impossible_memories_are_refused() -> None:
    for values, word in (
        ({"kind": "dream"}, "dream"),
        ({"kind": "queue", "interval_s": 0.0}, "interval_s"),
        ({"kind": "queue", "time_slots": 0, "distance_slots": 0}, "slots"),
    ):
        with pytest.raises(ConfigurationError, match=word):
            MemoryConfig(**values)
    with pytest.raises(ConfigurationError, match="unknown keys span_s"):
        MemoryConfig.from_dict({"span_s": 1.0})
