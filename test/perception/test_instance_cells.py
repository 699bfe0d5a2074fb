# SPDX-License-Identifier: Apache-2.0
"""Occupied cells know their object by its id, tracked or not, whatever else is in the maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bev_perception.geometry import OBJECT_CLASSES, BevGrid, BevOutput, ObjectBox, RigidTransform
from bev_perception.geometry.rasterize import cells_in_convex_polygon
from bev_perception.perception import PipelineSettings, find_objects
from bev_perception.perception.instance_cells import instance_cells
from bev_perception.perception.point_labels import FIRST_CLASS, NOBODY, OCCUPIED
from bev_perception.perception.tracker import Tracker

GRID = BevGrid.centered(25.0, 0.5)
SETTINGS = PipelineSettings()


def car(x: float, y: float, yaw: float, length: float = 4.5) -> ObjectBox:
    pose = RigidTransform.from_euler(yaw=yaw, translation=(x, y, 0.8))
    return ObjectBox("car", 0, pose, np.array([length, 1.9, 1.6]))


def an_output(boxes: list[ObjectBox], specks: np.ndarray) -> BevOutput:
    """Maps of a network without error, and specks (n, 2): sure centres over a single cell each.

    Specks are the surest centres, so their peaks come before those of the boxes.
    """
    probability = np.zeros(GRID.shape, dtype=np.float32)
    center = np.zeros(GRID.shape, dtype=np.float32)
    offset = np.zeros((2, *GRID.shape), dtype=np.float32)
    for box in boxes:
        cells = cells_in_convex_polygon(GRID, box.footprint)
        away = box.center[:2] - GRID.cell_centers
        probability[cells] = 0.9
        offset[(slice(None), *cells)] = away[cells].T
        np.maximum(center, 0.8 * np.exp(-(away**2).sum(axis=-1) / 2.0), out=center)
    for speck in specks:
        row, column = np.floor(GRID.to_cells(speck) + 0.5).astype(int)
        probability[row, column], center[row, column] = 0.7, 0.95
    found = find_objects(GRID, probability, center, offset, SETTINGS)
    unknown = np.zeros(GRID.shape, dtype=bool)
    return BevOutput(0, GRID, probability, unknown, center, offset, found)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_cells_belong_to_the_object_that_is_there(seed):
    random = np.random.default_rng(seed)
    places = np.stack(np.meshgrid([-15.0, -5.0, 5.0, 15.0], [-15.0, -5.0, 5.0, 15.0]), axis=-1)
    places = random.permutation(places.reshape(-1, 2))
    jitter = random.uniform(-1.0, 1.0, (6, 2))
    boxes = [car(*place, random.uniform(-3, 3)) for place in places[:6] + jitter]
    output = an_output(boxes, places[6:9])
    assert len(output.objects) == 6, "a speck was taken for an object"
    tracker, pose = Tracker(), RigidTransform.identity()
    tracker.update([car(60.0, 60.0, 0.0)], 0, pose)  # so that ids are no ranks
    tracked = tracker.update(output.objects, 1, pose)
    tilt = RigidTransform.from_euler(*random.uniform(-0.05, 0.05, 2), 0.0, (0.0, 0.0, 0.1))
    output = replace(output, objects=tracked, level_T_base=tilt)

    table = instance_cells(output, SETTINGS)

    assert len(table) == np.count_nonzero(output.probability >= 0.5)
    levelled = tilt.apply(np.stack([table[name] for name in "xyz"], axis=-1).astype(float))
    np.testing.assert_allclose(levelled[:, 2], 0.0, atol=1e-5)
    of_no_object = 0
    for (x, y, _), row in zip(levelled, table):
        distances = [np.hypot(*(box.center[:2] - (x, y))) for box in boxes]
        if min(distances) > 3.0:
            assert (row["id"], row["label"]) == (NOBODY, OCCUPIED)
            assert row["probability"] == np.float32(0.7)
            of_no_object += 1
            continue
        own = boxes[int(np.argmin(distances))]
        owner = min(tracked, key=lambda box: np.linalg.norm(box.center[:2] - own.center[:2]))
        assert row["id"] == owner.object_id
        assert row["label"] == FIRST_CLASS + OBJECT_CLASSES.index(owner.label)
        assert row["probability"] == np.float32(0.9)
    assert of_no_object == 3


def test_cells_that_no_camera_sees_are_left_out():
    output = an_output([car(5.0, 5.0, 0.3), car(-8.0, 0.0, 1.0)], np.zeros((0, 2)))
    unknown = np.broadcast_to(GRID.x_centers > 0.0, GRID.shape)
    table = instance_cells(replace(output, unknown=unknown), SETTINGS)
    assert 0 < len(table) < np.count_nonzero(output.probability)
    assert (table["x"] < 0.0).all()


@pytest.mark.parametrize("threshold", [0.95, 0.5])
def test_nothing_occupied_gives_no_rows(threshold):
    output = an_output([car(5.0, 5.0, 0.3)], np.zeros((0, 2)))
    chosen = PipelineSettings(occupancy_threshold=threshold)
    objects = () if threshold > 0.9 else output.objects
    table = instance_cells(replace(output, objects=objects), chosen)
    assert bool(len(table)) == (threshold < 0.9)
