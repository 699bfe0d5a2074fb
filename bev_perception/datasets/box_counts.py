# SPDX-License-Identifier: Apache-2.0
"""Boxes counted by class, distance and visibility, for cards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import OBJECT_CLASSES
from bev_perception.geometry.box_arrays import BoxArrays

DISTANCES_M = (0.0, 10.0, 20.0, 35.0, 50.0)
"""Lower ends of the rings; the last one has no upper end."""

VISIBILITIES = (0.0, 0.4, 0.6, 0.8)
"""Lower ends of the shares; boxes of unknown visibility are counted apart."""

_SHAPE = (len(OBJECT_CLASSES), len(DISTANCES_M), len(VISIBILITIES) + 1)
_UNKNOWN = len(VISIBILITIES)
_NUMBERS = {name: number for number, name in enumerate(OBJECT_CLASSES)}


def no_boxes() -> NDArray[np.int64]:
    """The counts of nothing."""
    return np.zeros(_SHAPE, dtype=np.int64)


def count_boxes(boxes: BoxArrays) -> NDArray[np.int64]:
    """Counts by class, ring and share; their sum over sets is that of all sets."""
    counts = no_boxes()
    labels = np.array([_NUMBERS[label] for label in boxes.labels], dtype=np.int64)
    rings = np.searchsorted(DISTANCES_M, boxes.distances, side="right") - 1
    shares = np.searchsorted(VISIBILITIES, boxes.visibilities, side="right") - 1
    shares[np.isnan(boxes.visibilities)] = _UNKNOWN
    np.add.at(counts, (labels, rings, shares), 1)
    return counts


def counts_to_dict(counts: NDArray[np.int64]) -> dict[str, dict[str, int]]:
    """Sums by class, by distance and by visibility, for people; classes without boxes left out."""
    by_class = counts.sum(axis=(1, 2)).tolist()
    return {
        "classes": {name: n for name, n in zip(OBJECT_CLASSES, by_class) if n},
        "distance_m": dict(zip(_ranges(DISTANCES_M, None), counts.sum(axis=(0, 2)).tolist())),
        "visibility": dict(
            zip((*_ranges(VISIBILITIES, 1.0), "unknown"), counts.sum(axis=(0, 1)).tolist())
        ),
    }


def add_counts(parts: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """The sum of what counts_to_dict gave for several drives."""
    total = counts_to_dict(no_boxes())
    for part in parts:
        for group, values in part.items():
            for name, number in values.items():
                total[group][name] = total[group].get(name, 0) + int(number)
    classes = sorted(total["classes"].items(), key=lambda item: _NUMBERS[item[0]])
    total["classes"] = dict(classes)
    return total


def _ranges(lower: Sequence[float], end: float | None) -> list[str]:
    upper = [f"{value:g}" for value in lower[1:]] + ["" if end is None else f"{end:g}"]
    return [f"{low:g}-{high}" if high else f"over {low:g}" for low, high in zip(lower, upper)]
