# SPDX-License-Identifier: Apache-2.0
"""Where IoU is lost: parts of a union laid out by hand, and boxes that are moved."""

from __future__ import annotations

import numpy as np
import pytest
from programs import load_benchmark

from bev_perception.evaluation.regions import NEAR
from bev_perception.geometry import BevGrid, BevOutput, ObjectBox, RigidTransform

GRID = BevGrid.centered(30.0, 0.5)


@pytest.fixture(scope="module")
def iou_losses():
    """The program, which is no part of the package."""
    return load_benchmark("iou_losses.py")


def a_box(x: float, y: float, visibility: float = 1.0) -> ObjectBox:
    pose = RigidTransform.from_euler(translation=(x, y, 0.75))
    return ObjectBox("car", 1, pose, np.array([4.0, 2.0, 1.5]), visibility=visibility)


def occupied(*areas: tuple[float, float, float, float]) -> BevOutput:
    """An output that is sure of cells within x_min, x_max, y_min, y_max."""
    x, y = np.moveaxis(GRID.cell_centers, -1, 0)
    probability = np.zeros(GRID.shape, dtype=np.float32)
    for x_min, x_max, y_min, y_max in areas:
        probability[(x > x_min) & (x < x_max) & (y > y_min) & (y < y_max)] = 0.9
    empty = np.zeros(GRID.shape, dtype=np.float32)
    return BevOutput(0, GRID, probability, empty > 0, empty, np.stack([empty, empty]))


def test_every_cell_of_the_union_has_its_part(iou_losses):
    found, missed = a_box(10.0, 0.0), a_box(0.0, 10.0)
    hidden, far = a_box(0.0, -10.0, visibility=0.1), a_box(28.0, 0.0)
    # The first is found 1 m too far on; one group touches nothing; the hidden one costs nothing.
    output = occupied((9.0, 13.0, -1.0, 1.0), (-11.0, -10.0, -1.0, 1.0), (-2.0, 2.0, -11.0, -9.0))
    parts = iou_losses.parts_of_union(output, (found, missed, hidden, far), NEAR)
    assert dict(zip(iou_losses.PARTS, parts.tolist(), strict=True)) == {
        "hit": 6 * 4,
        "vehicles missed": 8 * 4,
        "borders missed": 2 * 4,
        "vehicles invented": 2 * 4,
        "borders spilled": 2 * 4,
    }


def test_what_is_lost_is_the_nearest_visible_vehicles(iou_losses):
    near, next_to_it = a_box(10.0, 0.0), a_box(10.0, 3.0, visibility=0.5)
    hidden = a_box(0.0, -10.0, visibility=0.1)
    # The first is found 1 m too far on and 0.5 m too wide; one group is alone.
    output = occupied((9.0, 13.0, -1.5, 1.0), (8.0, 12.0, 2.0, 4.0), (-11.0, -10.0, -1.0, 1.0))
    cells = iou_losses.cells_of_vehicles(output, (near, hidden, next_to_it), NEAR)
    assert [(one.box, one.hit, one.lost) for one in cells] == [
        (near, 6 * 4, 2 * 4 + 2 * 4 + 8),
        (next_to_it, 8 * 4, 0),
    ]
    rows = list(iou_losses.table_of_groups(cells))
    assert rows[0] == "| within 10 m | 0 | 0.000 | 0% |"
    assert rows[1] == "| 10 to 15 m | 2 | 0.700 | 100% |"
    assert rows[5] == "| seen for 40 to 60 % | 1 | 1.000 | 0% |"
    assert rows[8] == "| 97 % and more | 1 | 0.500 | 100% |"


def test_boxes_that_do_not_move_are_judged_perfect_and_others_the_worse_the_farther(iou_losses):
    labels = [(a_box(10.0, 0.0), a_box(-8.0, 3.0)), (a_box(0.0, 12.0), a_box(0.0, -7.0))] * 10
    values = [iou_losses.iou_of_moved(labels, GRID, NEAR, error) for error in (0.0, 0.2, 0.5, 2.0)]
    assert values[0] == 1.0
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.3
