# SPDX-License-Identifier: Apache-2.0
"""Instance masks: every occupied cell with the object that it belongs to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import BevOutput
from bev_perception.perception.objects import instance_map
from bev_perception.perception.point_labels import LABELLED_POINT_FIELDS, labels_and_ids
from bev_perception.perception.settings import PipelineSettings


def instance_cells(output: BevOutput, settings: PipelineSettings) -> NDArray[np.void]:
    """Every occupied cell that a camera sees, with the object that its offset points to.

    Args:
        output: as the pipeline made it with these settings, objects of find_objects in their
            order, tracked or not.
        settings: of the pipeline.

    Returns:
        (N,) rows of LABELLED_POINT_FIELDS, row by row of the grid: the cell's centre on the ground
        in base_link (not levelled), label, occupancy, and id of the object or NOBODY.
    """
    grid, maps = output.grid, (output.probability, output.center, output.offset)
    owners = instance_map(grid, *maps, settings, output.class_map)
    occupied = ~output.unknown & (output.probability >= settings.occupancy_threshold)
    rows, columns = np.nonzero(occupied)
    owner = owners[rows, columns]
    labels, ids = labels_and_ids(output.objects)
    ground = np.zeros((len(rows), 3))
    ground[:, :2] = grid.to_metres(np.stack([rows, columns], axis=-1))
    points = output.level_T_base.inverse().apply(ground)
    table = np.zeros(len(rows), dtype=np.dtype(list(LABELLED_POINT_FIELDS)))
    for axis, name in enumerate("xyz"):
        table[name] = points[:, axis]
    table["label"], table["id"] = labels[owner], ids[owner]
    table["probability"] = output.probability[rows, columns]
    return table
