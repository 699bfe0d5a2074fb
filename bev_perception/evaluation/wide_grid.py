# SPDX-License-Identifier: Apache-2.0
"""A grid continued until it covers all that is judged."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import BevGrid

Value = TypeVar("Value", np.float32, np.bool_)


def widened(grid: BevGrid, reach_m: float) -> BevGrid:
    """The grid continued by whole cells until it covers +-reach_m."""
    size = grid.resolution
    below_x = max(0, int(np.ceil((grid.x_min + reach_m) / size - 1e-9)))
    below_y = max(0, int(np.ceil((grid.y_min + reach_m) / size - 1e-9)))
    above_x = max(0, int(np.ceil((reach_m - grid.x_max) / size - 1e-9)))
    above_y = max(0, int(np.ceil((reach_m - grid.y_max) / size - 1e-9)))
    return BevGrid(
        grid.x_min - below_x * size,
        grid.y_min - below_y * size,
        size,
        grid.num_x + below_x + above_x,
        grid.num_y + below_y + above_y,
    )


def embedded(values: NDArray[Value], grid: BevGrid, wide: BevGrid) -> NDArray[Value]:
    """An array (num_y, num_x) of a grid in its place on the widened one, zero elsewhere."""
    row = round((grid.y_min - wide.y_min) / grid.resolution)
    column = round((grid.x_min - wide.x_min) / grid.resolution)
    placed = np.zeros(wide.shape, dtype=values.dtype)
    placed[row : row + grid.num_y, column : column + grid.num_x] = values
    return placed
