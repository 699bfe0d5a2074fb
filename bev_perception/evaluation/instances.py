# SPDX-License-Identifier: Apache-2.0
"""Maps that say of every cell which vehicle it belongs to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import BevGrid, BevOutput, ObjectBox
from bev_perception.geometry.rasterize import cells_in_convex_polygon
from bev_perception.perception import PipelineSettings
from bev_perception.perception.objects import instance_map

NOBODY = -1


def box_instances(boxes: Sequence[ObjectBox], grid: BevGrid) -> NDArray[np.int32]:
    """(num_y, num_x) the number of the box whose footprint holds a cell's centre, or NOBODY.

    Where footprints overlap the smaller box has the cell, as in make_targets.
    """
    owner = np.full(grid.shape, NOBODY, dtype=np.int32)
    area = [float(box.size[0] * box.size[1]) for box in boxes]
    for number in sorted(range(len(boxes)), key=lambda number: -area[number]):
        rows, columns = cells_in_convex_polygon(grid, boxes[number].footprint)
        owner[rows, columns] = number
    return owner


def output_instances(output: BevOutput, settings: PipelineSettings) -> NDArray[np.int32]:
    """(num_y, num_x) the predicted vehicle of each occupied cell, or NOBODY.

    Cells are grouped as they are for objects: each joins the peak that its offset points to.
    Recordings hold neither centre map nor offsets; there a cell belongs to the box that it is in.
    """
    if output.center.any():
        maps = output.probability, output.center, output.offset
        return instance_map(output.grid, *maps, settings, output.class_map)
    owner = box_instances(output.objects, output.grid)
    owner[output.probability < settings.occupancy_threshold] = NOBODY
    return owner
