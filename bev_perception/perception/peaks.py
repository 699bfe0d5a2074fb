# SPDX-License-Identifier: Apache-2.0
"""Peaks of the centre map: local maxima that keep a distance from others of their class."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from bev_perception.geometry import BevGrid
from bev_perception.geometry.class_map import ClassMap
from bev_perception.perception.settings import PipelineSettings

_FEW_MAXIMA = 2000
"""Up to so many local maxima are compared one by one with what lies around them."""


def find_peaks(
    grid: BevGrid,
    center: NDArray[np.float32],
    settings: PipelineSettings,
    class_map: ClassMap | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Local maxima of the centre map.

    Returns:
        positions (n, 2) in metres and values (n,), highest first; no two of one class closer than
        its radius, so that two people side by side are two, and one lorry is one.
    """
    least_m = least_distance(settings, class_map)
    reach = max(1, int(least_m / grid.resolution))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    values = np.ascontiguousarray(center, dtype=np.float32)
    rows, columns = _maxima(values, kernel, settings.center_threshold)
    order = np.argsort(-values[rows, columns], kind="stable")[: 4 * settings.max_objects]
    rows, columns = rows[order], columns[order]
    positions = grid.to_metres(np.stack([rows, columns], axis=-1))
    if class_map is None:
        kept = _suppressed(positions, settings.peak_radius_m)
    else:
        numbers = _class_numbers(class_map, rows, columns)
        radii = _least_distances(settings, class_map)
        kept = _suppressed_by_class(positions, least_m, numbers, radii)
    kept = kept[: settings.max_objects]
    return positions[kept], values[rows[kept], columns[kept]]


def least_cells(
    grid: BevGrid,
    peaks: NDArray[np.float64],
    settings: PipelineSettings,
    class_map: ClassMap | None = None,
) -> NDArray[np.intp]:
    """(n,) how many occupied cells the object of each peak (n, 2) needs, at least 1."""
    areas = np.full(len(peaks), settings.min_area_m2)
    if class_map is not None:
        rows, columns = np.rint(grid.to_cells(peaks)).astype(np.intp).T
        of_class = np.array([settings.min_area_of(group) for group in class_map.classes])
        areas = of_class[_class_numbers(class_map, rows, columns)]
    return np.maximum(np.ceil(areas / grid.resolution**2 - 1e-9), 1).astype(np.intp)


def least_distance(settings: PipelineSettings, class_map: ClassMap | None) -> float:
    """No two peaks of whatever class are closer than this, metres."""
    if class_map is None:
        return settings.peak_radius_m
    return float(_least_distances(settings, class_map).min())


def _least_distances(settings: PipelineSettings, class_map: ClassMap) -> NDArray[np.float64]:
    """(K,) metres, of two peaks of one class."""
    return np.array([settings.peak_radius_of(group) for group in class_map.classes])


def _class_numbers(
    class_map: ClassMap, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Channel of the likeliest class of each cell."""
    numbers: NDArray[np.intp] = class_map.probability[:, rows, columns].argmax(axis=0)
    return numbers


def cells_where(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns where the mask is True: np.nonzero in a third of its time."""
    rows, columns = np.divmod(np.flatnonzero(mask), mask.shape[1])
    return rows, columns


def _maxima(
    values: NDArray[np.float32], kernel: NDArray[Any], threshold: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of values that reach the threshold and that none in the kernel exceeds.

    Few values exceed their four neighbours, so only those look further; a map of noise, where
    many do, is dilated as a whole.
    """
    small = cv2.dilate(values, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))
    rows, columns = cells_where((values >= threshold) & (values >= small))
    if len(rows) > _FEW_MAXIMA:
        return cells_where((values >= threshold) & (values >= cv2.dilate(values, kernel)))
    down, right = np.nonzero(kernel)
    reach = len(kernel) // 2
    # What a map's edge cuts off is moved onto the edge, which stays inside the convex kernel.
    around = np.clip(rows[:, None] + (down - reach), 0, values.shape[0] - 1) * values.shape[1]
    around += np.clip(columns[:, None] + (right - reach), 0, values.shape[1] - 1)
    highest = values.reshape(-1).take(around).max(axis=1, initial=-np.inf)
    kept = values[rows, columns] >= highest
    return rows[kept], columns[kept]


def _suppressed(positions: NDArray[np.float64], radius: float) -> NDArray[np.intp]:
    """Indices of the points that no earlier kept point has within the radius (plateaus)."""
    alive = np.ones(len(positions), dtype=bool)
    if len(positions):
        for first, second in sorted(cKDTree(positions).query_pairs(radius)):
            if alive[first]:
                alive[second] = False
    return np.flatnonzero(alive)


def _suppressed_by_class(
    positions: NDArray[np.float64],
    least_m: float,
    numbers: NDArray[np.intp],
    radii: NDArray[np.float64],
) -> NDArray[np.intp]:
    """As _suppressed, within least_m whatever the class, and within its radius for each class."""
    kept = _suppressed(positions, least_m)
    of_class = [kept[numbers[kept] == number] for number in range(len(radii))]
    parts = [
        members[_suppressed(positions[members], radius)]
        for members, radius in zip(of_class, radii.tolist())
    ]
    return np.sort(np.concatenate(parts))
