# SPDX-License-Identifier: Apache-2.0
"""Targets are exact in metres, wherever an object lies on the grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bev_perception.datasets.targets import TargetSettings, make_targets
from bev_perception.geometry import BevGrid, ObjectBox, RigidTransform
from bev_perception.geometry.class_sets import ROAD_USERS

GRID = BevGrid.centered(12.0, 0.4)


def box(x, y, yaw=0.0, size=(4.6, 1.9, 1.5), label="car", visibility=1.0, object_id=1):
    pose = RigidTransform.from_euler(yaw=yaw, translation=(x, y, size[2] / 2))
    return ObjectBox(label, object_id, pose, np.array(size), visibility=visibility)


poses = st.tuples(st.floats(-8, 8), st.floats(-8, 8), st.floats(-np.pi, np.pi))


@settings(max_examples=50, deadline=None)
@given(poses)
def test_offset_leads_from_every_cell_centre_exactly_to_the_object_centre(pose):
    x, y, yaw = pose
    targets = make_targets([box(x, y, yaw)], GRID)
    rows, columns = np.nonzero(targets.segmentation)
    assert len(rows) > 0
    reached = GRID.cell_centers[rows, columns] + targets.offset[:, rows, columns].T
    np.testing.assert_allclose(reached, np.tile([x, y], (len(rows), 1)), atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(poses)
def test_segmentation_holds_exactly_the_cells_whose_centres_lie_inside(pose):
    x, y, yaw = pose
    targets = make_targets([box(x, y, yaw)], GRID)
    along = np.array([np.cos(yaw), np.sin(yaw)])
    across = np.array([-np.sin(yaw), np.cos(yaw)])
    relative = GRID.cell_centers - (x, y)
    reach = np.maximum(np.abs(relative @ along) - 2.3, np.abs(relative @ across) - 0.95)
    decided = np.abs(reach) > 1e-6  # a centre exactly on an edge belongs to one of the two sides
    np.testing.assert_array_equal(targets.segmentation[decided], (reach < 0)[decided])


def test_masks_have_no_half_cell_bias():
    """Over many places the mask's centroid is the object's centre and its area the footprint's."""
    random = np.random.default_rng(0)
    errors, areas = [], []
    for x, y in random.uniform(-5, 5, size=(600, 2)):
        mask = make_targets([box(x, y, random.uniform(-np.pi, np.pi))], GRID).segmentation
        errors.append(GRID.cell_centers[mask].mean(axis=0) - (x, y))
        areas.append(mask.sum() * GRID.resolution**2)
    assert np.abs(np.mean(errors, axis=0)).max() < 0.02
    assert np.mean(areas) == pytest.approx(4.6 * 1.9, rel=0.01)


@pytest.mark.parametrize("resolution", [0.25, 0.5])
def test_centre_map_is_the_maximum_of_gaussians_in_metres_whatever_the_resolution(resolution):
    grid = BevGrid.centered(12.0, resolution)
    boxes = [box(1.13, -2.07), box(3.2, -1.1, yaw=1.0)]
    targets = make_targets(boxes, grid, TargetSettings(center_sigma_m=1.5))
    expected = np.zeros(grid.shape)
    for entry in boxes:
        squared = ((grid.cell_centers - entry.center[:2]) ** 2).sum(axis=-1)
        expected = np.maximum(expected, np.exp(-squared / (2 * 1.5**2)))
    np.testing.assert_allclose(targets.center, expected, atol=1e-6)


def test_object_beyond_the_edge_still_raises_the_centre_map_inside():
    targets = make_targets([box(12.5, 0.0)], GRID)
    assert targets.center[:, -1].max() > 0.85
    assert targets.segmentation.any()


def test_invisible_vehicle_is_in_the_mask_but_not_valid_and_unknown_counts_as_visible():
    hidden = box(-5, 0, visibility=0.4)
    targets = make_targets([hidden, box(5, 0, visibility=float("nan"))], GRID)
    columns = GRID.x_centers < 0
    assert targets.segmentation[:, columns].any()
    assert (targets.valid == ~(targets.segmentation & columns)).all()


def test_only_vehicles_leave_a_trace():
    targets = make_targets([box(0, 0, label="pedestrian"), box(3, 0, label="barrier")], GRID)
    assert not targets.segmentation.any()
    assert not targets.center.any()
    assert targets.valid.all()


def test_each_class_has_its_mask_and_together_they_are_the_segmentation():
    boxes = [
        box(0, 0),
        box(4, 4, size=(0.8, 0.8, 1.7), label="pedestrian"),
        box(-4, -4, size=(2.0, 0.8, 1.5), label="bicycle", visibility=0.0),
        box(-6, 6, label="barrier"),
    ]
    targets = make_targets(boxes, GRID, TargetSettings(classes=ROAD_USERS))
    assert targets.classes.shape == (3, *GRID.shape)
    for number, entry in enumerate(boxes[:3]):
        alone = make_targets([entry], GRID, TargetSettings(classes=ROAD_USERS))
        assert alone.classes[number].any()
        assert (alone.segmentation == alone.classes[number]).all()
        assert (targets.classes[number] == alone.classes[number]).all()
    assert (targets.segmentation == targets.classes.any(axis=0)).all()
    assert (targets.valid == ~targets.classes[2]).all()
    assert (targets.offset != 0).any(axis=0)[targets.classes[1]].any()


def test_where_objects_touch_the_smaller_one_has_the_cell_in_its_class_alone():
    boxes = [box(0, 0, size=(0.8, 0.8, 1.7), label="pedestrian"), box(0.5, 0)]
    targets = make_targets(boxes, GRID, TargetSettings(classes=ROAD_USERS))
    vehicle, pedestrian, _ = targets.classes
    assert pedestrian.any()
    assert not (vehicle & pedestrian).any()


def test_of_vehicles_alone_the_only_class_is_the_segmentation():
    targets = make_targets([box(0, 0), box(5, 5, label="bicycle")], GRID)
    assert targets.classes.shape == (1, *GRID.shape)
    assert (targets.classes[0] == targets.segmentation).all()
    columns = GRID.x_centers > 4
    assert targets.segmentation[:, columns].any()
