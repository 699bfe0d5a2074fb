# SPDX-License-Identifier: Apache-2.0
"""What only drives judged in order can tell: hidden objects that stay known, and velocities."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from bev_perception.evaluation.hidden_objects import (
    AGES_S,
    HiddenCounts,
    SightHistory,
    age_name,
    hidden_counts,
    hidden_iou,
    hidden_recall,
    known_share,
)
from bev_perception.evaluation.regions import MAIN_REGIONS
from bev_perception.evaluation.results import known
from bev_perception.evaluation.velocity_error import (
    VelocityErrors,
    moving_velocity_error,
    velocity_error,
    velocity_errors,
)
from bev_perception.geometry import BevOutput, ObjectBox
from bev_perception.geometry.rasterize import cells_in_convex_polygon


class SequenceMeasures:
    """Collects them over a split.

    Args:
        min_visibility: an object is seen when more than this share of it is.
        threshold: a cell is predicted occupied when its probability exceeds this.
        max_distance_m: largest distance between matching centres, metres.
    """

    def __init__(self, min_visibility: float, threshold: float, max_distance_m: float) -> None:
        self._history = SightHistory(min_visibility)
        self._threshold = threshold
        self._max_distance_m = max_distance_m
        self._hidden: dict[tuple[str, str], HiddenCounts] = defaultdict(HiddenCounts)
        self._velocity = VelocityErrors()

    def begin_drive(self) -> None:
        """The next set is another drive's first one."""
        self._history.begin_drive()

    def update(
        self, output: BevOutput, objects: Sequence[ObjectBox], visible: Sequence[bool]
    ) -> None:
        """One set.

        Args:
            output: of the set.
            objects: labels of the classes that are judged, in the output's frame.
            visible: per object, whether it counts.
        """
        ages = self._history.update(objects, output.stamp_ns)
        if any(age is not None for age in ages):
            self._count_hidden(output, objects, ages)
        self._velocity += velocity_errors(output.objects, objects, visible, self._max_distance_m)

    def compute(self) -> dict[str, Any]:
        """Plain values: ``hidden`` by region, in all and by age, and ``velocity``."""
        names = ["all", *(age_name(age) for age in AGES_S)]
        return {
            "hidden": {
                region.name: {name: _values(self._hidden[region.name, name]) for name in names}
                for region in MAIN_REGIONS
            },
            "velocity": {
                "objects": self._velocity.objects,
                "error": known(velocity_error(self._velocity)),
                "moving": self._velocity.moving,
                "moving_error": known(moving_velocity_error(self._velocity)),
                "moving_speed": known(_mean(self._velocity.speed, self._velocity.moving)),
            },
        }

    def _count_hidden(
        self, output: BevOutput, objects: Sequence[ObjectBox], ages: Sequence[float | None]
    ) -> None:
        occupied = np.zeros(output.grid.shape, dtype=bool)
        for box in objects:
            rows, columns = cells_in_convex_polygon(output.grid, box.footprint)
            occupied[rows, columns] = True
        for box, age_s in zip(objects, ages):
            if age_s is None:
                continue
            near_m, threshold = self._max_distance_m, self._threshold
            counts = hidden_counts(output, box, occupied, threshold, near_m)
            for region in MAIN_REGIONS:
                if region.contains(box.center[:2]):
                    self._hidden[region.name, "all"] += counts
                    self._hidden[region.name, age_name(age_s)] += counts


def _values(counts: HiddenCounts) -> dict[str, Any]:
    return {
        "objects": counts.objects,
        "known": known(known_share(counts)),
        "recall": known(hidden_recall(counts)),
        "iou": known(hidden_iou(counts)),
    }


def _mean(total: float, count: int) -> float:
    return total / count if count else float("nan")
