# SPDX-License-Identifier: Apache-2.0
"""What the map says of every point of a cloud: free, occupied, or which object it is on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import OBJECT_CLASSES, BevGrid, BevOutput, ObjectBox

UNKNOWN, FREE, OCCUPIED = 0, 1, 2
"""Labels of points: nothing known, of no object, and in an occupied cell without one."""

FIRST_CLASS = 16
"""Points on an object have the label FIRST_CLASS + the place of its class in OBJECT_CLASSES."""

NOBODY = -1
"""Id of points on no object."""

GROUND_M = 0.2
"""Points up to this height are on the ground, also under a vehicle."""

LABELLED_POINT_FIELDS = (
    ("x", "f4"),
    ("y", "f4"),
    ("z", "f4"),
    ("label", "u4"),
    ("probability", "f4"),
    ("id", "i4"),
)
"""Fields of labelled points, in order."""


def labelled_points(
    points: NDArray[np.floating],
    output: BevOutput,
    occupancy_threshold: float,
    object_height_m: float,
) -> NDArray[np.void]:
    """Every point with what the map says of its place.

    A point is on what fills its cell if the cell is occupied and the point lies above GROUND_M and
    not above the top of the cell's object. The ground is free, and so are all points of cells that
    are not occupied: façades, what hangs over the street. Nothing is said of points above that top,
    as heights are assumed, not seen: it may be a lorry's.

    Args:
        points: (N, 3) metres in base_link (not levelled) at the output's stamp; columns behind
            are not looked at.
        output: of the same moment.
        occupancy_threshold: probability from which a cell is occupied.
        object_height_m: height of what fills occupied cells of no object.

    Returns:
        (N,) rows of LABELLED_POINT_FIELDS: the points as they were given, label, occupancy of the
        cell (0 where it is unknown) and the id of the object.
    """
    grid = output.grid
    points = np.asarray(points)[:, :3]
    level_T_told = output.level_T_base if output.level_T_told is None else output.level_T_told
    levelled = level_T_told.apply(np.asarray(points, dtype=np.float64).reshape(-1, 3))
    cells = np.floor(grid.to_cells(levelled[:, :2]) + 0.5)
    inside: NDArray[np.bool_] = np.asarray(np.all((cells >= 0) & (cells < grid.shape), axis=1))
    rows, columns = np.where(inside[:, None], cells, 0).astype(np.intp).T
    known = inside & ~output.unknown[rows, columns]
    occupied = ~output.unknown & (output.probability >= occupancy_threshold)
    owners = cell_owners(occupied, output.objects, grid)[rows, columns]
    labels, ids = labels_and_ids(output.objects)
    tops = _tops(output.objects, object_height_m)
    height = levelled[:, 2]
    over_ground = known & occupied[rows, columns] & (height > GROUND_M)
    on_it = over_ground & (height <= tops[owners])
    table = np.zeros(len(levelled), dtype=np.dtype(list(LABELLED_POINT_FIELDS)))
    for axis, name in enumerate("xyz"):
        table[name] = np.asarray(points).reshape(-1, 3)[:, axis]
    is_free = known & ~over_ground
    table["label"] = np.where(on_it, labels[owners], np.where(is_free, FREE, UNKNOWN))
    table["probability"] = np.where(known, output.probability[rows, columns], 0.0)
    table["id"] = np.where(on_it, ids[owners], NOBODY)
    return table


def cell_owners(
    occupied: NDArray[np.bool_], objects: Sequence[ObjectBox], grid: BevGrid
) -> NDArray[np.intp]:
    """(num_y, num_x) which object fills each occupied cell, -1 for none.

    It is the one whose footprint is nearest to the cell's centre, within one cell.

    Args:
        occupied: (num_y, num_x).
        objects: boxes in levelled base_link.
        grid: of the map.
    """
    owners = np.full(grid.shape, -1, dtype=np.intp)
    rows, columns = np.nonzero(occupied)
    centers = grid.to_metres(np.stack([rows, columns], axis=-1))
    nearest = np.full(len(centers), grid.resolution)
    owner = np.full(len(centers), -1, dtype=np.intp)
    for number, box in enumerate(objects):
        heading = box.pose.yaw
        along = np.array([np.cos(heading), np.sin(heading)])
        offset = centers - box.center[:2]
        local = np.stack([offset @ along, offset @ np.array([-along[1], along[0]])], axis=1)
        beyond = np.maximum(np.abs(local) - box.size[:2] / 2.0, 0.0)
        distance = np.hypot(beyond[:, 0], beyond[:, 1])
        closer = distance < nearest
        nearest[closer], owner[closer] = distance[closer], number
    owners[rows, columns] = owner
    return owners


def labels_and_ids(
    objects: Sequence[ObjectBox],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Label and id of each object, and at the end, for -1, of what is occupied by none."""
    labels = [FIRST_CLASS + OBJECT_CLASSES.index(box.label) for box in objects]
    ids = [*(box.object_id for box in objects), NOBODY]
    return np.array([*labels, OCCUPIED]), np.array(ids)


def _tops(objects: Sequence[ObjectBox], height_m: float) -> NDArray[np.float64]:
    """In metres of each object, and at the end, for -1, of what is occupied by none."""
    return np.array([*(float(box.center[2] + box.size[2] / 2.0) for box in objects), height_m])
