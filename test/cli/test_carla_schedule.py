# SPDX-License-Identifier: Apache-2.0
"""What is recorded is balanced wherever one stops, and halts are neither kept nor endless."""

from __future__ import annotations

from collections import Counter

import pytest

from bev_perception.cli.carla_schedule import ScheduledDrive, schedule, traffic_of
from bev_perception.cli.standing import Motion, StandingWatch
from bev_perception.errors import ConfigurationError
from bev_perception.geometry import RigidTransform

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}
TOWNS = ("Town01", "Town03", "Town05")
WEATHERS = ("ClearNoon", "WetNoon", "ClearNight", "HardRainNoon")
TRAFFIC = [traffic_of(name) for name in ("light", "dense")]


def drives(count: int, seed: int = 0) -> tuple[ScheduledDrive, ...]:
    return schedule(TOWNS, WEATHERS, TRAFFIC, count, seed, SHARES)


@pytest.mark.parametrize("count", [1, 5, 7, 24, 50, 100])
def test_every_part_is_used_equally_often(count: int) -> None:
    found = drives(count)
    for parts, options in (
        ([each.town for each in found], TOWNS),
        ([each.weather for each in found], WEATHERS),
        ([each.traffic for each in found], TRAFFIC),
    ):
        used = Counter(parts)
        counts = [used[option] for option in options]
        assert max(counts) - min(counts) <= 1, counts


def test_all_combinations_are_used_before_one_is_used_twice_too_often() -> None:
    used = Counter((each.town, each.weather, each.traffic) for each in drives(96))
    assert len(used) == 24
    assert set(used.values()) <= {3, 4, 5}


def test_a_longer_schedule_goes_on_with_a_shorter_one() -> None:
    assert drives(100)[:30] == drives(30)
    assert drives(30, seed=1) != drives(30)
    assert len({each.seed for each in drives(100)}) == 100
    assert len({each.bag for each in drives(100)}) == 100


def test_whole_drives_go_to_the_splits_in_every_town() -> None:
    found = drives(120)
    assert Counter(each.split for each in found) == {"train": 96, "validation": 12, "test": 12}
    for town in TOWNS:
        here = Counter(each.split for each in found if each.town == town)
        assert here["train"] in (31, 32, 33)
        assert here["validation"] in (3, 4, 5)
        assert here["test"] in (3, 4, 5)
    assert drives(1)[0].split == "train"


def test_traffic_by_name_or_number() -> None:
    assert (traffic_of("medium").vehicles, traffic_of("medium").walkers) == (60, 40)
    assert (traffic_of("7/3").vehicles, traffic_of("7/3").walkers) == (7, 3)
    with pytest.raises(ConfigurationError, match="'some': expected light, medium, dense, or"):
        traffic_of("some")


def test_halts_are_thinned_and_a_stuck_vehicle_is_told() -> None:
    watch = StandingWatch(keep_s=2.0, stuck_s=10.0)
    found = []
    for second in range(30):
        x = 5.0 * min(second, 3) + (5.0 if second >= 10 else 0.0)  # drives, halts 7 s, drives on
        pose = RigidTransform.from_euler(translation=(x, 0.0, 0.0))
        found.append(watch.judge(second * 1_000_000_000, pose))
    assert found[:6] == [Motion.KEEP] * 6, "driving, and two seconds of the halt"
    assert found[6:10] == [Motion.SKIP] * 4
    assert found[10:13] == [Motion.KEEP] * 3
    assert found[13:21] == [Motion.SKIP] * 8
    assert found[21] == Motion.STUCK
    assert watch.distance_m == pytest.approx(20.0)


def test_creeping_is_no_halt() -> None:
    watch = StandingWatch(keep_s=2.0, stuck_s=10.0)
    for second in range(100):
        pose = RigidTransform.from_euler(translation=(0.3 * second, 0.0, 0.0))
        assert watch.judge(second * 1_000_000_000, pose) is Motion.KEEP
