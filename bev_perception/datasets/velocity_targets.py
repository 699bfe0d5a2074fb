# SPDX-License-Identifier: Apache-2.0
"""How fast the objects move, cell by cell."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from bev_perception.datasets.targets import TargetSettings, is_visible
from bev_perception.geometry import BevGrid, ObjectBox
from bev_perception.geometry.class_sets import class_index
from bev_perception.geometry.rasterize import cells_in_convex_polygon


def make_velocity_targets(
    objects: Iterable[ObjectBox], grid: BevGrid, settings: TargetSettings | None = None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Velocities inside footprints of the objects that make_targets counts.

    Args:
        objects: boxes in levelled base_link, the frame of the grid.
        grid: extent and resolution.
        settings: classes and least visibility; default TargetSettings().

    Returns:
        (2, num_y, num_x) metres per second over ground, x then y, 0 elsewhere; and (num_y, num_x)
        where they are known: inside objects that count and whose labels tell a velocity.
    """
    settings = settings or TargetSettings()
    velocity = np.zeros((2, *grid.shape), dtype=np.float32)
    known = np.zeros(grid.shape, dtype=bool)
    for box in sorted(objects, key=lambda box: -float(box.size[0] * box.size[1])):
        if class_index(box.label, settings.classes) is None:
            continue
        rows, columns = cells_in_convex_polygon(grid, box.footprint)
        is_told = bool(np.isfinite(box.velocity[:2]).all())
        counts = is_told and is_visible(box, settings.min_visibility)
        velocity[:, rows, columns] = box.velocity[:2, None] if counts else 0.0
        known[rows, columns] = counts
    return velocity, known
