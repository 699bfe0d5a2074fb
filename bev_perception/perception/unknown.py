# SPDX-License-Identifier: Apache-2.0
"""Cells about which no camera can say anything, from geometry alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import BevGrid, Rig
from bev_perception.model import visible_voxels


def seen_cells(
    rig: Rig,
    grid: BevGrid,
    heights_m: Sequence[float],
    present: Sequence[bool],
) -> NDArray[np.bool_]:
    """Cells of which a present camera sees the column at one of the heights.

    Occlusion is not considered: it is what the network is there to judge.

    Args:
        rig: cameras as they take images, extrinsics to the grid's frame.
        grid: extent and resolution.
        heights_m: metres above the grid's plane.
        present: per camera in rig order.

    Returns:
        (num_y, num_x) bool.
    """
    seen = np.zeros(grid.num_y * grid.num_x, dtype=bool)
    for name, is_present in zip(rig.names, present):
        if is_present:
            voxels, _ = visible_voxels(rig[name], grid, heights_m)
            seen[voxels // len(heights_m)] = True
    return seen.reshape(grid.shape)
