# SPDX-License-Identifier: Apache-2.0
"""Objects that nobody sees now, but that were seen a moment ago: does the map still know them?

An object is seen while cameras see more of it than the share from which targets count it, and
hidden while they see at most a tenth. Both come from the labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.datasets.targets import is_visible
from bev_perception.geometry import BevGrid, BevOutput, ObjectBox
from bev_perception.geometry.rasterize import cells_in_convex_polygon

HIDDEN_VISIBILITY = 0.1
"""Share of an object that cameras see up to which it is hidden."""

REMEMBER_S = 3.0
"""Objects hidden for longer are not asked for."""

AGES_S = (0.5, 1.0, 2.0, REMEMBER_S)
"""Upper bounds of how long ago an object was seen, by which results are told apart."""

AROUND_M = 2.0
"""Cells predicted occupied so close to a hidden object count against its IoU."""

SECOND = 1_000_000_000


class SightHistory:
    """When each object of a drive was seen last.

    Args:
        min_visibility: an object is seen when more than this share of it is.
    """

    def __init__(self, min_visibility: float) -> None:
        self._min_visibility = min_visibility
        self._seen_ns: dict[int, int] = {}
        self._stamp_ns: int | None = None

    def begin_drive(self) -> None:
        """Forgets all objects: another drive gives their numbers to others."""
        self._seen_ns.clear()
        self._stamp_ns = None

    def update(self, objects: Sequence[ObjectBox], stamp_ns: int) -> list[float | None]:
        """Seconds since each object was seen; None for those that are no hidden ones.

        Args:
            objects: labels of one moment, later than those before it in the drive.
            stamp_ns: of that moment.
        """
        if self._stamp_ns is not None and stamp_ns < self._stamp_ns:
            self.begin_drive()
        self._stamp_ns = stamp_ns
        ages = [self._age_s(box, stamp_ns) for box in objects]
        for box in objects:
            if is_visible(box, self._min_visibility):
                self._seen_ns[box.object_id] = stamp_ns
        return ages

    def _age_s(self, box: ObjectBox, stamp_ns: int) -> float | None:
        seen_ns = self._seen_ns.get(box.object_id)
        if seen_ns is None or not box.visibility <= HIDDEN_VISIBILITY:
            return None
        age_s = (stamp_ns - seen_ns) / SECOND
        return age_s if 0.0 < age_s <= REMEMBER_S else None


@dataclass(frozen=True)
class HiddenCounts:
    """Hidden objects and their cells; sums of these pool over a split.

    Attributes:
        objects, known: how many, and of how many an object was found in their place.
        hit, missed: their cells, predicted occupied or not.
        invented: free cells around them that are predicted occupied.
    """

    objects: int = 0
    known: int = 0
    hit: int = 0
    missed: int = 0
    invented: int = 0

    def __add__(self, other: HiddenCounts) -> HiddenCounts:
        return HiddenCounts(
            self.objects + other.objects,
            self.known + other.known,
            self.hit + other.hit,
            self.missed + other.missed,
            self.invented + other.invented,
        )


def known_share(counts: HiddenCounts) -> float:
    """Share of the hidden objects that stay known; NaN where there are none."""
    return _ratio(counts.known, counts.objects)


def hidden_recall(counts: HiddenCounts) -> float:
    """Share of their cells that are predicted occupied; NaN where there are none."""
    return _ratio(counts.hit, counts.hit + counts.missed)


def hidden_iou(counts: HiddenCounts) -> float:
    """Their cells' IoU with what is predicted at and around them; NaN where there are none."""
    return _ratio(counts.hit, counts.hit + counts.missed + counts.invented)


def hidden_counts(
    output: BevOutput, box: ObjectBox, occupied: NDArray[np.bool_], threshold: float, near_m: float
) -> HiddenCounts:
    """What an output says of one hidden object.

    Args:
        output: of that moment.
        box: the object, in the frame of the output.
        occupied: (num_y, num_x) bool, cells of all true objects.
        threshold: a cell is predicted occupied when its probability exceeds this.
        near_m: the object is known when one was found so close to its centre, metres.
    """
    predicted = output.probability > threshold
    inside = _inside(box, output.grid, 0.0)
    around = _inside(box, output.grid, AROUND_M) & ~occupied & ~inside
    hit = int((predicted & inside).sum())
    found = np.array([one.center[:2] for one in output.objects]).reshape(-1, 2)
    is_known = bool((np.linalg.norm(found - box.center[:2], axis=1) <= near_m).any())
    return HiddenCounts(
        1, int(is_known), hit, int(inside.sum()) - hit, int((predicted & around).sum())
    )


def age_name(age_s: float) -> str:
    """The class of AGES_S that an age belongs to, as results call it."""
    lower = 0.0
    for upper in AGES_S:
        if age_s <= upper:
            break
        lower = upper
    return f"{lower:g}_to_{upper:g}_s"


def _inside(box: ObjectBox, grid: BevGrid, margin_m: float) -> NDArray[np.bool_]:
    """(num_y, num_x) bool, cells within the footprint widened on all sides."""
    grown = ObjectBox(
        box.label, box.object_id, box.pose, box.size + 2.0 * margin_m * np.array([1.0, 1.0, 0.0])
    )
    cells = np.zeros(grid.shape, dtype=bool)
    rows, columns = cells_in_convex_polygon(grid, grown.footprint)
    cells[rows, columns] = True
    return cells


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
