# SPDX-License-Identifier: Apache-2.0
"""Oriented boxes from occupancy, centre map and offsets.

Peaks of the centre map are the objects. Every occupied cell votes with its offset and joins
the nearest peak. A box is the uniform rectangle with the moments of its cells: the
variance of a uniform rectangle of length L is L^2 / 12. Its centre is the mean of the votes,
and the moments are taken about that centre, so an object that the grid's edge cuts in half
still gets its whole size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from bev_perception.geometry import BevGrid, ObjectBox, RigidTransform
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
) -> tuple[ObjectBox, ...]:
    """Objects of one moment, highest centre value first.

    Args:
        grid: extent and resolution of the arrays.
        probability: (num_y, num_x) in 0..1.
        center: (num_y, num_x) in 0..1.
        offset: (2, num_y, num_x) metres, x then y, from the cell to its object's centre.
        settings: thresholds and radii.

    Returns:
        Boxes in levelled base_link that stand on z = 0. The id is the rank, the score the
        centre value of the peak, the velocity zero. The heading is one of two: the one
        within 90 degrees of the x axis; tracking tells them apart.
    """
    peaks, scores = find_peaks(grid, center, settings)
    rows, columns = _where(probability >= settings.occupancy_threshold)
    if len(peaks) == 0 or len(rows) == 0:
        return ()
    cells = grid.to_metres(np.stack([rows, columns], axis=-1))
    votes = cells + offset[:, rows, columns].T.astype(np.float64)
    distance, owner = cKDTree(peaks).query(votes, distance_upper_bound=settings.group_radius_m)
    grouped = np.isfinite(distance)
    rectangles = _fit(
        cells[grouped], votes[grouped], owner[grouped], len(peaks), grid.resolution, settings
    )
    return tuple(
        _box(rank, rectangle, score, settings)
        for rank, (rectangle, score) in enumerate(
            zip(rectangles.rows(), scores[rectangles.peaks].tolist())
        )
    )


def find_peaks(
    grid: BevGrid, center: NDArray[np.float32], settings: PipelineSettings
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Local maxima of the centre map.

    Returns:
        positions (n, 2) in metres and values (n,), highest first; no two closer than
        peak_radius_m.
    """
    reach = max(1, int(settings.peak_radius_m / grid.resolution))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    values = np.ascontiguousarray(center, dtype=np.float32)
    is_peak = (values >= settings.center_threshold) & (values >= cv2.dilate(values, kernel))
    rows, columns = _where(is_peak)
    order = np.argsort(-values[rows, columns], kind="stable")[: 4 * settings.max_objects]
    rows, columns = rows[order], columns[order]
    positions = grid.to_metres(np.stack([rows, columns], axis=-1))
    kept = _suppressed(positions, settings.peak_radius_m)[: settings.max_objects]
    return positions[kept], values[rows[kept], columns[kept]]


def _where(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns where the mask is True: np.nonzero in a third of its time."""
    rows, columns = np.divmod(np.flatnonzero(mask), mask.shape[1])
    return rows, columns


def _suppressed(positions: NDArray[np.float64], radius: float) -> NDArray[np.intp]:
    """Indices of the points that no earlier kept point has within the radius (plateaus)."""
    alive = np.ones(len(positions), dtype=bool)
    if len(positions):
        for first, second in sorted(cKDTree(positions).query_pairs(radius)):
            if alive[first]:
                alive[second] = False
    return np.flatnonzero(alive)


def _fit(
    cells: NDArray[np.float64],
    votes: NDArray[np.float64],
    owner: NDArray[np.intp],
    num_peaks: int,
    resolution: float,
    settings: PipelineSettings,
) -> _Rectangles:
    """Rectangles with the moments of each group of cells (m, 2) with votes (m, 2)."""
    count = np.bincount(owner, minlength=num_peaks)
    peaks = np.flatnonzero(count >= settings.min_cells)
    number = np.maximum(count, 1)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(owner, values, minlength=num_peaks) / number

    centers = np.stack([mean(votes[:, 0]), mean(votes[:, 1])], axis=-1)
    x, y = (cells - centers[owner]).T
    mean_x, mean_y = mean(x), mean(y)
    xx, yy, xy = mean(x * x), mean(y * y), mean(x * y)
    yaws = 0.5 * np.arctan2(2.0 * (xy - mean_x * mean_y), (xx - mean_x**2) - (yy - mean_y**2))
    cos, sin = np.cos(yaws), np.sin(yaws)
    along = cos**2 * xx + 2.0 * cos * sin * xy + sin**2 * yy
    across = sin**2 * xx - 2.0 * cos * sin * xy + cos**2 * yy
    # n cells in a row have the variance (n^2 - 1) / 12 cells^2 and the length n.
    sizes = np.sqrt(12.0 * np.stack([along, across], axis=-1) + resolution**2)
    return _Rectangles(peaks, centers[peaks], sizes[peaks], yaws[peaks])


def _box(
    rank: int, rectangle: Sequence[float], score: float, settings: PipelineSettings
) -> ObjectBox:
    """Of x, y, length, width, cosine and sine of the yaw."""
    height = settings.object_height_m
    x, y, length, width, cos, sin = rectangle
    rotation = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    pose = RigidTransform(rotation, np.array([x, y, height / 2.0]))
    return ObjectBox(
        settings.object_label, rank, pose, np.array([length, width, height]), score=score
    )
