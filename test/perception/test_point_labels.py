# SPDX-License-Identifier: Apache-2.0
"""Every point gets what the map says of its cell, from the ground up to an object's top."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from bev_perception.geometry import OBJECT_CLASSES, BevGrid, BevOutput, ObjectBox, RigidTransform
from bev_perception.perception.point_labels import (
    FIRST_CLASS,
    FREE,
    GROUND_M,
    NOBODY,
    OCCUPIED,
    UNKNOWN,
    labelled_points,
)

GRID = BevGrid.centered(10.0, 0.5)
THRESHOLD, HEIGHT_M = 0.5, 1.8


def a_box(number: int, label: str, x: float, y: float, yaw: float, height: float) -> ObjectBox:
    pose = RigidTransform.from_euler(yaw=yaw, translation=(x, y, height / 2.0))
    return ObjectBox(label, number, pose, np.array([4.0, 2.0, height]))


def an_output(seed: int, level_T_base: RigidTransform | None = None) -> BevOutput:
    """Objects in occupied cells, further occupied cells, and a corner that nobody sees."""
    random = np.random.default_rng(seed)
    boxes = (
        a_box(70, "car", *random.uniform(-6, 6, 2), random.uniform(-3, 3), 1.4),
        a_box(71, "bus", *random.uniform(-6, 6, 2), random.uniform(-3, 3), 3.1),
    )
    probability = random.uniform(0.0, 0.6, GRID.shape).astype(np.float32)
    for box in boxes:
        gap = np.linalg.norm(GRID.cell_centers - box.center[:2], axis=-1)
        probability[gap < 2.3] = 0.9
    unknown = np.zeros(GRID.shape, dtype=bool)
    unknown[:12, :9] = True
    empty = np.zeros(GRID.shape, dtype=np.float32)
    return BevOutput(
        0,
        GRID,
        probability,
        unknown,
        empty,
        np.stack([empty, empty]),
        boxes,
        level_T_base=level_T_base or RigidTransform.identity(),
    )


def said_of(point: np.ndarray, output: BevOutput) -> tuple[int, int]:
    """Label and id of one point in levelled base_link, step by step."""
    row = math.floor((point[1] - GRID.y_min) / GRID.resolution)
    column = math.floor((point[0] - GRID.x_min) / GRID.resolution)
    if not (0 <= row < GRID.num_y and 0 <= column < GRID.num_x) or output.unknown[row, column]:
        return UNKNOWN, NOBODY
    if output.probability[row, column] < THRESHOLD or point[2] <= GROUND_M:
        return FREE, NOBODY
    center = np.array([*GRID.cell_centers[row, column], 0.0])
    nearest, owner = GRID.resolution, None
    for box in output.objects:
        local = np.abs(RigidTransform.from_euler(yaw=-box.pose.yaw).apply(center - box.center))
        gap = math.hypot(*np.maximum(local[:2] - box.size[:2] / 2.0, 0.0))
        if gap < nearest:
            nearest, owner = gap, box
    if point[2] > (HEIGHT_M if owner is None else owner.size[2]):
        return UNKNOWN, NOBODY
    if owner is None:
        return OCCUPIED, NOBODY
    return FIRST_CLASS + OBJECT_CLASSES.index(owner.label), owner.object_id


@pytest.mark.parametrize("seed", range(6))
def test_points_get_what_the_map_says_of_their_place(seed: int) -> None:
    random = np.random.default_rng(100 + seed)
    tilt = RigidTransform.from_euler(*random.uniform(-0.1, 0.1, 2), 0.0)
    output = an_output(seed, tilt)
    levelled = random.uniform((-11, -11, -0.3), (11, 11, 3.5), (2500, 3))
    found = labelled_points(tilt.inverse().apply(levelled), output, THRESHOLD, HEIGHT_M)
    expected = [said_of(point, output) for point in levelled]
    assert [(int(row["label"]), int(row["id"])) for row in found] == expected
    assert {label for label, _ in expected} >= {UNKNOWN, FREE, OCCUPIED, FIRST_CLASS}
    for axis, name in enumerate("xyz"):
        np.testing.assert_allclose(found[name], tilt.inverse().apply(levelled)[:, axis], atol=1e-5)


def test_the_order_of_points_does_not_matter() -> None:
    random = np.random.default_rng(0)
    points, order = random.uniform(-9, 9, (400, 3)), random.permutation(400)
    output = an_output(1)
    found = labelled_points(points, output, THRESHOLD, HEIGHT_M)
    mixed = labelled_points(points[order], output, THRESHOLD, HEIGHT_M)
    np.testing.assert_array_equal(found[order], mixed)


def test_probabilities_are_the_cells_and_nothing_is_said_of_what_nobody_sees() -> None:
    output = replace(an_output(2), unknown=np.ones(GRID.shape, dtype=bool))
    points = np.random.default_rng(0).uniform(-9, 9, (50, 3))
    blind = labelled_points(points, output, THRESHOLD, HEIGHT_M)
    assert set(blind["label"]) == {UNKNOWN}
    assert not blind["probability"].any()
    seen = labelled_points(points, replace(output, unknown=~output.unknown), THRESHOLD, HEIGHT_M)
    cells = np.floor(GRID.to_cells(points[:, :2]) + 0.5).astype(int)
    np.testing.assert_array_equal(seen["probability"], output.probability[tuple(cells.T)])


def test_an_empty_cloud_gives_no_labels() -> None:
    assert len(labelled_points(np.zeros((0, 3)), an_output(3), THRESHOLD, HEIGHT_M)) == 0
