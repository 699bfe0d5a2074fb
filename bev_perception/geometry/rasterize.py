# SPDX-License-Identifier: Apache-2.0
"""Footprints onto the BEV grid, without half-cell bias.

A cell belongs to a footprint when the cell's centre lies inside it. The expected area
of the mask is then the footprint's area, wherever it lies on the grid; rounding corners
to whole cells, as polygon fillers do, shifts and grows it by half a cell. A centre that
lies exactly on an edge counts for edges towards smaller x (or, along x, smaller y) alone,
so polygons that share an edge share no cell and leave none out.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.geometry.grid import BevGrid

EDGE_TOLERANCE = 1e-9
"""Metres within which a cell's centre counts as lying on an edge."""


def cells_in_convex_polygon(
    grid: BevGrid, polygon: ArrayLike
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the cells whose centres lie in a convex polygon.

    Args:
        grid: the grid.
        polygon: (n, 2) x, y in metres, either orientation.

    Returns:
        rows, columns: each (m,), m may be 0.
    """
    corners = np.asarray(polygon, dtype=np.float64)
    cells = grid.to_cells(corners)
    low = np.clip(np.ceil(cells.min(axis=0) - 1e-9).astype(int), 0, None)
    high = np.minimum(np.floor(cells.max(axis=0) + 1e-9).astype(int) + 1, grid.shape)
    if (low >= high).any():
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
    x = grid.x_centers[low[1] : high[1]][None, :]
    y = grid.y_centers[low[0] : high[0]][:, None]
    following = np.roll(corners, -1, axis=0)
    edges = following - corners
    area = np.sum(corners[:, 0] * following[:, 1] - following[:, 0] * corners[:, 1])
    sign = 1.0 if area >= 0 else -1.0
    inside = np.ones((y.shape[0], x.shape[1]), dtype=bool)
    for (corner_x, corner_y), (edge_x, edge_y) in zip(corners, sign * edges):
        cross = edge_x * (y - corner_y) - edge_y * (x - corner_x)
        margin = EDGE_TOLERANCE * np.hypot(edge_x, edge_y)
        keeps_its_edge = edge_y < -margin or (abs(edge_y) <= margin and edge_x > 0)
        inside &= cross >= -margin if keeps_its_edge else cross > margin
    rows, columns = np.nonzero(inside)
    return rows + low[0], columns + low[1]


def rasterize_polygons(grid: BevGrid, polygons: Iterable[ArrayLike]) -> NDArray[np.bool_]:
    """Union of convex polygons, each (n, 2) metres, as a (num_y, num_x) mask."""
    mask = np.zeros(grid.shape, dtype=bool)
    for polygon in polygons:
        mask[cells_in_convex_polygon(grid, polygon)] = True
    return mask
