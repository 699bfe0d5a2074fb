# SPDX-License-Identifier: Apache-2.0
"""What tests of the perception node ask of its grids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import Rig
from bev_perception.model import build_tap_table, load_weights

SECOND = 1_000_000_000


def cells(grid: Any) -> NDArray[np.int8]:
    """(num_y, num_x) of an OccupancyGrid."""
    return np.asarray(grid.data, dtype=np.int8).reshape(grid.info.height, grid.info.width)


def stamp_of(grid: Any) -> int:
    """Nanoseconds."""
    return int(grid.header.stamp.sec) * SECOND + int(grid.header.stamp.nanosec)


def unknown_cells(rig: Rig, weights: Path, without: str = "") -> NDArray[np.bool_]:
    """(num_y, num_x): cells that no camera of the rig, or none but one, sees."""
    config = load_weights(weights)[0].config
    return ~build_tap_table(rig, config, tuple(name != without for name in rig)).seen


def same_but_for_rounding(grid: Any, values: NDArray[np.int8]) -> bool:
    """Whether a probability grid has the same cells unknown and no other differs by over 1 %."""
    found = cells(grid).astype(int)
    is_unknown_in_both = np.array_equal(found < 0, values < 0)
    return is_unknown_in_both and int(np.abs(found - values).max()) <= 1
