# SPDX-License-Identifier: Apache-2.0
"""Oriented boxes from occupancy, centre map and offsets.

Peaks of the centre map are the objects. Every occupied cell votes with its offset and joins
the nearest peak. A box is the uniform rectangle with the moments of its cells: the
variance of a uniform rectangle of length L is L^2 / 12. Its centre is the mean of the votes,
and the moments are taken about that centre, so an object that the grid's edge cuts in half
still gets its whole size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from bev_perception.geometry import BevGrid, ObjectBox, RigidTransform
from bev_perception.geometry.class_map import ClassMap
from bev_perception.perception.peaks import (
    cells_where,
    find_peaks,
    least_cells,
    least_distance,
)
from bev_perception.perception.settings import DEFAULT_SETTINGS, PipelineSettings


@dataclass(frozen=True)
class _Rectangles:
    """peaks (n,) int; centers (n, 2), sizes (n, 2) length and width, yaws (n,); metres, radians."""

    peaks: NDArray[np.intp]
    centers: NDArray[np.float64]
    sizes: NDArray[np.float64]
    yaws: NDArray[np.float64]

    def rows(self) -> list[list[float]]:
        """x, y, length, width, cosine and sine of the yaw of each."""
        turns = np.cos(self.yaws)[:, None], np.sin(self.yaws)[:, None]
        rows: list[list[float]] = np.hstack([self.centers, self.sizes, *turns]).tolist()
        return rows


def find_objects(
    grid: BevGrid,
    probability: NDArray[np.float32],
    center: NDArray[np.float32],
    offset: NDArray[np.float32],
    settings: PipelineSettings = DEFAULT_SETTINGS,
    class_map: ClassMap | None = None,
) -> tuple[ObjectBox, ...]:
    """Objects of one moment, highest centre value first.

    Args:
        grid: extent and resolution of the arrays.
        probability: (num_y, num_x) in 0..1.
        center: (num_y, num_x) in 0..1.
        offset: (2, num_y, num_x) metres, x then y, from the cell to its object's centre.
        settings: thresholds and radii.
        class_map: where the network tells classes apart; how close two objects may be depends on
            what they are.

    Returns:
        Boxes in levelled base_link that stand on z = 0. The id is the rank, the score the
        centre value of the peak, the velocity unknown. The heading is one of two: the one
        within 90 degrees of the x axis; tracking tells them apart.
    """
    peaks, scores = find_peaks(grid, center, settings, class_map)
    rows, columns = cells_where(probability >= settings.occupancy_threshold)
    if len(peaks) == 0 or len(rows) == 0:
        return ()
    least_m = least_distance(settings, class_map)
    cells, votes, owner = _grouped(grid, offset, peaks, rows, columns, settings, least_m)
    grouped = np.flatnonzero(owner >= 0)
    rectangles = _fit(
        cells.take(grouped, axis=1),
        votes.take(grouped, axis=1),
        owner.take(grouped),
        least_cells(grid, peaks, settings, class_map),
        grid.resolution,
    )
    return tuple(
        _box(rank, rectangle, score, settings)
        for rank, (rectangle, score) in enumerate(
            zip(rectangles.rows(), scores[rectangles.peaks].tolist())
        )
    )


def instance_map(
    grid: BevGrid,
    probability: NDArray[np.float32],
    center: NDArray[np.float32],
    offset: NDArray[np.float32],
    settings: PipelineSettings = DEFAULT_SETTINGS,
    class_map: ClassMap | None = None,
) -> NDArray[np.int32]:
    """(num_y, num_x) which object of find_objects each occupied cell belongs to, -1 for none.

    The arguments are those of find_objects, which fits its boxes to these cells; the numbers are
    places in what it returns.
    """
    instances = np.full(grid.shape, -1, dtype=np.int32)
    peaks, _ = find_peaks(grid, center, settings, class_map)
    rows, columns = cells_where(probability >= settings.occupancy_threshold)
    if len(peaks) and len(rows):
        least_m = least_distance(settings, class_map)
        _, _, owner = _grouped(grid, offset, peaks, rows, columns, settings, least_m)
        needed = least_cells(grid, peaks, settings, class_map)
        found = np.bincount(owner[owner >= 0], minlength=len(peaks)) >= needed
        numbers = np.where(found, np.cumsum(found) - 1, -1)
        instances[rows, columns] = np.where(owner >= 0, numbers[owner], -1)
    return instances


def _grouped(
    grid: BevGrid,
    offset: NDArray[np.float32],
    peaks: NDArray[np.float64],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    settings: PipelineSettings,
    least_m: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    """Of n cells the centres (2, n), where they vote for (2, n), and the peak (n,) or -1."""
    cells = np.ascontiguousarray(grid.to_metres(np.stack([rows, columns], axis=-1)).T)
    votes = cells + offset[:, rows, columns]
    return cells, votes, _nearest(grid, peaks, votes, settings, least_m)


def _nearest(
    grid: BevGrid,
    peaks: NDArray[np.float64],
    votes: NDArray[np.float64],
    settings: PipelineSettings,
    least_m: float,
) -> NDArray[np.intp]:
    """Of each vote (2, n) the nearest peak (m, 2) within group_radius_m, or -1.

    Peaks lie further apart than least_m metres, so a vote closer than half of that to one has it
    as its nearest. Which one to try is read from a map of the peaks; a search is left for others.
    """
    near = 0.999 * min(least_m / 2.0, settings.group_radius_m)
    owner = _painted(grid, peaks, near).take(_cell_indices(grid, votes))
    x, y = votes - peaks.T.take(owner, axis=1)
    far = np.flatnonzero((owner < 0) | (x * x + y * y >= near * near))
    if len(far):
        bound = settings.group_radius_m
        distance, found = cKDTree(peaks).query(votes.T[far], distance_upper_bound=bound)
        owner[far] = np.where(np.isfinite(distance), found, -1)
    return owner


def _painted(grid: BevGrid, peaks: NDArray[np.float64], radius: float) -> NDArray[np.intp]:
    """A flat map that holds the number of a peak in all cells that touch its disc, -1 elsewhere.

    Peaks lie at cells' centres, metres.
    """
    down, right = _disc(radius / grid.resolution)
    rows, columns = np.rint(grid.to_cells(peaks)).astype(np.intp).T
    painted = np.full(grid.num_y * grid.num_x, -1, dtype=np.intp)
    around = np.clip(rows[:, None] + down, 0, grid.num_y - 1) * grid.num_x
    around += np.clip(columns[:, None] + right, 0, grid.num_x - 1)
    painted[around] = np.arange(len(peaks))[:, None]
    return painted


@lru_cache(maxsize=8)
def _disc(radius: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the cells that touch a disc of so many cells around a cell's centre."""
    reach = math.ceil(radius) + 1
    row, column = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    least = np.hypot(*(np.maximum(np.abs(side) - 0.5, 0.0) for side in (row, column)))
    touched = least <= radius
    return row[touched], column[touched]


def _cell_indices(grid: BevGrid, points: NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices into the flat map of the cells that hold points (2, ...), x and y in metres.

    Points beyond the grid get a cell at its edge.
    """
    columns = np.clip((points[0] - grid.x_min) / grid.resolution, 0, grid.num_x - 1)
    rows = np.clip((points[1] - grid.y_min) / grid.resolution, 0, grid.num_y - 1)
    return rows.astype(np.intp) * grid.num_x + columns.astype(np.intp)


def _fit(
    cells: NDArray[np.float64],
    votes: NDArray[np.float64],
    owner: NDArray[np.intp],
    needed: NDArray[np.intp],
    resolution: float,
) -> _Rectangles:
    """Rectangles with the moments of each group of cells (2, m) with votes (2, m).

    Groups have owners 0 to n - 1; those of fewer cells than needed (n,) are left out.
    """
    num_peaks = len(needed)
    count = np.bincount(owner, minlength=num_peaks)
    peaks = np.flatnonzero(count >= needed)
    number = np.maximum(count, 1)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(owner, values, minlength=num_peaks) / number

    centers = np.stack([mean(votes[0]), mean(votes[1])])
    x, y = cells - centers.take(owner, axis=1)
    mean_x, mean_y = mean(x), mean(y)
    xx, yy, xy = mean(x * x), mean(y * y), mean(x * y)
    yaws = 0.5 * np.arctan2(2.0 * (xy - mean_x * mean_y), (xx - mean_x**2) - (yy - mean_y**2))
    cos, sin = np.cos(yaws), np.sin(yaws)
    along = cos**2 * xx + 2.0 * cos * sin * xy + sin**2 * yy
    across = sin**2 * xx - 2.0 * cos * sin * xy + cos**2 * yy
    # n cells in a row have the variance (n^2 - 1) / 12 cells^2 and the length n.
    sizes = np.sqrt(12.0 * np.stack([along, across], axis=-1) + resolution**2)
    return _Rectangles(peaks, centers.T[peaks], sizes[peaks], yaws[peaks])


def _box(
    rank: int, rectangle: Sequence[float], score: float, settings: PipelineSettings
) -> ObjectBox:
    """Of x, y, length, width, cosine and sine of the yaw."""
    height = settings.object_height_m
    x, y, length, width, cos, sin = rectangle
    rotation = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    pose = RigidTransform(rotation, np.array([x, y, height / 2.0]))
    size = np.array([length, width, height])
    return ObjectBox(settings.object_label, rank, pose, size, score=score)
