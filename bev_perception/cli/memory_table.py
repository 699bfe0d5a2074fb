# SPDX-License-Identifier: Apache-2.0
"""What a network still knows of objects that are hidden now, and how wrong its velocities are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bev_perception.visualization import Table

Metrics = Mapping[str, Any]
_REGION = "within_25m"
_MEASURES = {"known": "known", "recall": "recall of cells", "iou": "IoU"}


def memory_table(models: Mapping[str, Metrics]) -> Table | None:
    """One column per model; None where no drive was judged in order, or nothing ever hid."""
    found = {name: metrics.get("hidden", {}).get(_REGION, {}) for name, metrics in models.items()}
    asked = {age: _objects(found, age) for entry in found.values() for age in entry}
    ages = [age for age, objects in asked.items() if objects]
    if not ages:
        return None
    rows = [
        [f"{label}, {_in_words(age)} ({asked[age]})"]
        + [_number(entry.get(age, {}).get(key)) for entry in found.values()]
        for age in ages
        for key, label in _MEASURES.items()
    ]
    rows += [
        [label, *(_number(metrics.get("velocity", {}).get(key)) for metrics in models.values())]
        for key, label in (
            ("error", "velocity error, m/s"),
            ("moving_error", "of those that move, m/s"),
            ("moving_speed", "their mean speed, m/s"),
        )
    ]
    return Table(
        "Memory, ±25 m",
        ["measure", *models],
        rows,
        "Of vehicles of which cameras see at most 10 % now, but saw 40 % up to 3 s ago, by "
        "how long ago that was; in brackets how many. IoU counts cells predicted up to 2 m around "
        "them as wrong. Velocities are those of the objects that were found.",
    )


def _objects(found: Mapping[str, Metrics], age: str) -> int:
    return max(int(entry.get(age, {}).get("objects", 0)) for entry in found.values())


def _in_words(age: str) -> str:
    return "all" if age == "all" else age.replace("_to_", " to ").replace("_s", " s")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
