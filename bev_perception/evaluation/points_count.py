# SPDX-License-Identifier: Apache-2.0
"""How many sets come without the points that a network takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from bev_perception.datasets.labelled_set import LabelledSet


class PointsCount:
    """Counts sets as they pass.

    Args:
        sensor: of the points, as model.sensor; "none" of networks that take none.

    Attributes:
        sets: that have passed.
        missing: those of them without points.
    """

    def __init__(self, sensor: str) -> None:
        self.sensor = sensor
        self.sets, self.missing = 0, 0

    def watched(self, sets: Iterable[LabelledSet]) -> Iterator[LabelledSet]:
        """The sets, counted."""
        for labelled in sets:
            self.sets += 1
            self.missing += labelled.frame_set.points is None
            yield labelled

    def metrics(self) -> dict[str, Any]:
        """``without_points``: the sensor and how many sets had none; nothing of other networks."""
        if self.sensor == "none":
            return {}
        return {"without_points": {"sensor": self.sensor, "sets": self.missing}}

    def findings(self) -> list[str]:
        """A sentence where there are such sets."""
        if self.sensor == "none":
            return []
        return points_findings(self.sensor, self.missing, self.sets)


def points_findings(sensor: str, missing: int, sets: int) -> list[str]:
    """A sentence where a network that takes points of a sensor got none."""
    if not missing:
        return []
    return [
        f"The network takes {sensor} points, and {missing} of {sets} sets have none: it answered "
        f"from images alone there."
    ]
