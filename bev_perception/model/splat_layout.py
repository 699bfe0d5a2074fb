# SPDX-License-Identifier: Apache-2.0
"""Frustum tables in the shape that graphs take, for the lift "depth".

A BEV cell owns none, one or hundreds of points, and a graph knows no sums of lists that differ in
length. So points are summed in groups of eight, where a cell has more than eight groups those
again, and so on; every cell then sums the last groups that it has. Groups are gathers of fixed
sizes, and the group at position 0 of every level is empty.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bev_perception.model.config import SegnetConfig
from bev_perception.model.frustum_table import FrustumTable
from bev_perception.model.graph_layout import GraphLayout, in_steps, require_room
from bev_perception.model.lift_geometry import LiftGeometry

FAN_IN = 8
LEVELS = 3
_STEPS = 16
"""Room grows by this part of what a table without room to spare would take."""


@dataclass(frozen=True)
class SplatLayout(GraphLayout):
    """The fixed sizes of a graph's inputs.

    Attributes:
        num_cameras: images.
        groups: of each of the LEVELS, the empty one included.
        slots: groups that one cell sums in the end.
        raw_size: see GraphLayout.
    """

    TABLES: ClassVar[tuple[str, ...]] = ("cells", "points", "groups", "supergroups", "slots")

    num_cameras: int
    groups: tuple[int, ...] = (1,) * LEVELS
    slots: int = FAN_IN
    raw_size: tuple[int, int] | None = None

    def sizes(self) -> tuple[int, ...]:
        """See GraphLayout."""
        return self.num_cameras, *self.groups, self.slots

    def room(self) -> str:
        """See GraphLayout."""
        groups = ", ".join(map(str, self.groups))
        return f"{groups} groups of {FAN_IN} points and {self.slots} of them in a cell"

    def has_room_for(self, geometry: LiftGeometry) -> bool:
        """See GraphLayout."""
        groups, slots = _needed(geometry)
        return (
            geometry.num_cameras == self.num_cameras
            and all(own >= count for own, count in zip(self.groups, groups))
            and self.slots >= slots
        )

    def grown_for(self, geometry: LiftGeometry) -> SplatLayout:
        """See GraphLayout."""
        if self.has_room_for(geometry):
            return self
        groups, slots = _needed(geometry)
        step = max(1, groups[0] // _STEPS)
        room = [max(own, in_steps(count, step)) for own, count in zip(self.groups, groups)]
        return replace(
            self,
            num_cameras=geometry.num_cameras,
            groups=tuple(room),
            slots=max(self.slots, slots),
        )

    def tables(self, geometry: LiftGeometry) -> dict[str, NDArray[Any]]:
        """See GraphLayout.

        cells and points: (8, groups) int32 feature cells and points, of nothing the first cell and
        the point behind the last one, whose share is 0. The next ones: (8, groups) int32 of groups
        of the level before. slots: (slots, Y * X) int32 groups of all levels in a row.
        """
        require_room(self, geometry)
        assert isinstance(geometry, FrustumTable)
        nothing = _num_points(geometry)
        items, counts = geometry.points.numpy(), np.diff(geometry.offsets.numpy())
        groups: list[NDArray[np.int32]] = []
        last = np.zeros((len(counts), 2), dtype=np.int64)
        base = 0
        for level, room in enumerate(self.groups):
            empty = 0 if level else nothing
            table, first, grouped = _grouped(items, counts, room, empty)
            groups.append(table)
            done = (counts > 0) & ((grouped <= FAN_IN) | (level == LEVELS - 1))
            last[done] = np.stack([base + first, grouped], axis=1)[done]
            base += room
            counts = np.where(done, 0, grouped)
            items = _ranges(first, counts)
        slots = np.zeros((self.slots, len(last)), dtype=np.int32)
        for slot in range(self.slots):
            np.copyto(slots[slot], last[:, 0] + slot, where=last[:, 1] > slot, casting="unsafe")
        points = groups[0]
        cells = np.where(points == nothing, 0, points // geometry.num_bins).astype(np.int32)
        return dict(zip(self.TABLES, (cells, *groups, slots)))

    def example(self, config: SegnetConfig) -> dict[str, NDArray[Any]]:
        """See GraphLayout."""
        shapes = [(FAN_IN, count) for count in (self.groups[0], *self.groups)]
        shapes.append((self.slots, math.prod(config.grid.shape)))
        return {name: np.zeros(shape, dtype=np.int32) for name, shape in zip(self.TABLES, shapes)}


def _num_points(table: FrustumTable) -> int:
    """Of all frustums, those that count nowhere included."""
    return table.num_cameras * math.prod(table.feature_shape) * table.num_bins


def _needed(geometry: LiftGeometry) -> tuple[list[int], int]:
    """Groups of every level, the empty ones included, and the most that one cell sums."""
    assert isinstance(geometry, FrustumTable)
    counts, groups, slots = np.diff(geometry.offsets.numpy()), [], 1
    for level in range(LEVELS):
        grouped = -(-counts // FAN_IN)
        groups.append(int(grouped.sum()) + 1)
        done = (grouped <= FAN_IN) | (level == LEVELS - 1)
        slots = max(slots, int(grouped[done].max(initial=0)))
        counts = np.where(done, 0, grouped)
    return groups, slots


def _grouped(
    items: NDArray[Any], counts: NDArray[Any], room: int, empty: int
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[Any]]:
    """Items of cells, one cell after the other, in groups of their cell.

    Returns:
        (8, room) items, each cell's first group, and how many it has.
    """
    grouped = -(-counts // FAN_IN)
    first = np.cumsum(grouped) - grouped + 1
    start = np.cumsum(counts) - counts
    rank = np.arange(len(items)) - np.repeat(start, counts)
    table = np.full((FAN_IN, room), empty, dtype=np.int32)
    table[rank % FAN_IN, np.repeat(first, counts) + rank // FAN_IN] = items
    return table, first.astype(np.int64), grouped


def _ranges(first: NDArray[np.int64], counts: NDArray[Any]) -> NDArray[np.int64]:
    """first[i], first[i] + 1, ... counts[i] of them, for every i."""
    start = np.cumsum(counts) - counts
    return np.arange(int(counts.sum())) + np.repeat(first - start, counts)
