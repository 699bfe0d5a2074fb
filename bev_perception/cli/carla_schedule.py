# SPDX-License-Identifier: Apache-2.0
"""Which drives to record: towns, weathers and traffic in equal shares, wherever one stops."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from bev_perception.errors import ConfigurationError

DENSITIES = {"light": (20, 10), "medium": (60, 40), "dense": (120, 80)}
"""Vehicles and walkers by name."""

WEATHERS = (
    "ClearNoon",
    "CloudyNoon",
    "WetCloudyNoon",
    "MidRainyNoon",
    "ClearSunset",
    "CloudySunset",
    "SoftRainSunset",
    "ClearNight",
)
"""CARLA's presets that are recorded by default."""

SPLITS = ("train", "validation", "test")

_NUMBERS = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True)
class Traffic:
    """How full the streets are.

    Attributes:
        name: for people.
        vehicles, walkers: how many to ask the server for.
    """

    name: str
    vehicles: int
    walkers: int


@dataclass(frozen=True)
class ScheduledDrive:
    """One bag to record.

    Attributes:
        number: in the schedule.
        split: member of SPLITS; whole drives only, for neighbouring sets are alike.
        town, weather: CARLA's names.
        traffic: see Traffic.
        seed: of spawn points and traffic.
    """

    number: int
    split: str
    town: str
    weather: str
    traffic: Traffic
    seed: int

    @property
    def bag(self) -> str:
        """Its folder below the result: ``train/drive_00012``."""
        return f"{self.split}/drive_{self.number:05d}"

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.town}, {self.weather}, {self.traffic.name} traffic"

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"bag": self.bag, **asdict(self)}


def traffic_of(text: str) -> Traffic:
    """``light``, ``medium``, ``dense`` or vehicles and walkers as ``80/30``.

    Raises:
        ConfigurationError: none of these.
    """
    match = _NUMBERS.fullmatch(text)
    if text in DENSITIES:
        return Traffic(text, *DENSITIES[text])
    if match is None:
        raise ConfigurationError(
            f"--traffic {text!r}: expected {', '.join(DENSITIES)}, or vehicles/walkers as 80/30"
        )
    return Traffic(text, int(match[1]), int(match[2]))


def schedule(
    towns: Sequence[str],
    weathers: Sequence[str],
    traffic: Sequence[Traffic],
    count: int,
    seed: int,
    shares: Mapping[str, float],
) -> tuple[ScheduledDrive, ...]:
    """Drives in the order of recording.

    Every beginning of it is balanced, and more drives only go on with it: a recording that
    was stopped, or is made longer later, is as good as one that was planned so.

    Args:
        towns, weathers, traffic: all combinations are used, each as often as the others.
        count: drives.
        seed: of the order, and of the drives' own seeds.
        shares: of the splits.
    """
    draw = random.Random(seed)
    order = _balanced(tuple(product(towns, weathers, traffic)), draw)
    splits = _Splits(shares)
    return tuple(
        ScheduledDrive(number, splits.next(town), town, weather, each, seed * 100_000 + number)
        for number, (town, weather, each) in zip(range(count), order)
    )


def _balanced(
    combinations: Sequence[tuple[str, str, Traffic]], draw: random.Random
) -> Iterator[tuple[str, str, Traffic]]:
    """Without end: always one of those that were used least, by whole and by parts."""
    used: Counter[Any] = Counter()
    while True:
        lowest = min(_uses(each, used) for each in combinations)
        chosen = draw.choice([each for each in combinations if _uses(each, used) == lowest])
        used.update([chosen, *enumerate(chosen)])
        yield chosen


def _uses(combination: tuple[str, str, Traffic], used: Counter[Any]) -> tuple[int, int]:
    return sum(used[part] for part in enumerate(combination)), used[combination]


class _Splits:
    """Deals drives to the splits by their shares, over all and within each town."""

    def __init__(self, shares: Mapping[str, float]) -> None:
        self._shares = shares
        self._dealt: Counter[Any] = Counter()

    def next(self, town: str) -> str:
        """The split that lacks most."""
        dealt, total = self._dealt, self._dealt.total() // 2 + 1
        here = sum(dealt[town, name] for name in SPLITS) + 1
        lacks = {
            name: share * total - dealt[name] + share * here - dealt[town, name]
            for name, share in self._shares.items()
            if share > 0.0
        }
        chosen = max(lacks, key=lambda name: (round(lacks[name], 9), -SPLITS.index(name)))
        self._dealt.update([chosen, (town, chosen)])
        return chosen
