# SPDX-License-Identifier: Apache-2.0
"""What kind of object each one is, from a segmentation that tells several classes apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import BevGrid, ObjectBox
from bev_perception.geometry.class_sets import usual_member
from bev_perception.geometry.rasterize import cells_in_convex_polygon
from bev_perception.perception.peaks import ClassMap


def classified(
    objects: Sequence[ObjectBox],
    grid: BevGrid,
    class_map: ClassMap,
    vehicle_label: str,
) -> tuple[ObjectBox, ...]:
    """The objects with the class that is likeliest on average over the cells of each.

    Args:
        objects: boxes in the grid's frame.
        grid: extent and resolution.
        class_map: what every cell is likely of.
        vehicle_label: class given to a vehicle; other groups have one of their own.
    """
    labels = [
        vehicle_label if name == "vehicle" else usual_member(name) for name in class_map.classes
    ]
    return tuple(
        replace(box, label=labels[int(_mean_over(box, grid, class_map.probability).argmax())])
        for box in objects
    )


def _mean_over(
    box: ObjectBox, grid: BevGrid, class_probability: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(K,) over the cells of the footprint; over the nearest cell where it holds no centre."""
    rows, columns = cells_in_convex_polygon(grid, box.footprint)
    if len(rows) == 0:
        row = np.abs(grid.y_centers - box.center[1]).argmin()
        column = np.abs(grid.x_centers - box.center[0]).argmin()
        rows, columns = np.array([row]), np.array([column])
    return np.asarray(class_probability[:, rows, columns].mean(axis=1))
