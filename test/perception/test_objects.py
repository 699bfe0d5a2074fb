# SPDX-License-Identifier: Apache-2.0
"""Boxes that are drawn onto the grid come back from it."""

from __future__ import annotations

from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import BevGrid, ObjectBox, RigidTransform
from bev_perception.geometry.rasterize import cells_in_convex_polygon
from bev_perception.perception import PipelineSettings, find_objects

GRID = BevGrid.centered(50.0, 0.5)
SIZES = {"car": (4.5, 1.9, 1.6), "van": (5.6, 2.1, 2.4), "bus": (11.5, 2.6, 3.2)}


def box(x: float, y: float, yaw_deg: float, label: str = "car", object_id: int = 0) -> ObjectBox:
    size = np.array(SIZES[label])
    pose = RigidTransform.from_euler(yaw=np.radians(yaw_deg), translation=(x, y, size[2] / 2))
    return ObjectBox(label, object_id, pose, size)


def perfect_maps(boxes: list[ObjectBox], grid: BevGrid = GRID) -> tuple[np.ndarray, ...]:
    """Probability, centre map (sigma 1 m) and offsets of a network without error."""
    probability = np.zeros(grid.shape, dtype=np.float32)
    center = np.zeros(grid.shape, dtype=np.float32)
    offset = np.zeros((2, *grid.shape), dtype=np.float32)
    for each in boxes:
        rows, columns = cells_in_convex_polygon(grid, each.footprint)
        away = each.center[:2] - grid.cell_centers
        probability[rows, columns] = 1.0
        offset[:, rows, columns] = away[rows, columns].T
        np.maximum(center, np.exp(-(away**2).sum(axis=-1) / 2.0), out=center)
    return probability, center, offset


def yaw_error_deg(found: ObjectBox, truth: ObjectBox) -> float:
    """Between the two axes; a rectangle does not tell front from rear."""
    difference = np.degrees(found.pose.yaw - truth.pose.yaw)
    return abs((difference + 90.0) % 180.0 - 90.0)


def random_boxes(seed: int, count: int) -> list[ObjectBox]:
    """Boxes at least 1 m apart, wherever they turn."""
    rng = np.random.default_rng(seed)
    boxes: list[ObjectBox] = []
    while len(boxes) < count:
        x, y, yaw = rng.uniform(-42, 42), rng.uniform(-42, 42), rng.uniform(-180, 180)
        candidate = box(x, y, yaw, list(SIZES)[rng.integers(3)], len(boxes))
        reach = np.hypot(*candidate.size[:2]) / 2 + 1.0
        if all(
            np.linalg.norm(candidate.center[:2] - other.center[:2])
            > reach + np.hypot(*other.size[:2]) / 2
            for other in boxes
        ):
            boxes.append(candidate)
    return boxes


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 20))
def test_perfect_maps_give_the_boxes_back(seed, count):
    truth = random_boxes(seed, count)
    found = find_objects(GRID, *perfect_maps(truth))
    assert len(found) == count
    for each in truth:
        nearest = min(found, key=lambda other: np.linalg.norm(other.center - each.center))
        assert np.linalg.norm(nearest.center[:2] - each.center[:2]) < 0.05
        # One cell of 0.5 m at the end of half a car's length is 12 degrees.
        assert yaw_error_deg(nearest, each) < 12.0
        np.testing.assert_allclose(nearest.size[:2], each.size[:2], atol=0.6)


@pytest.mark.parametrize("label", SIZES)
def test_headings_and_sizes_are_right_on_the_average(label):
    rng = np.random.default_rng(0)
    yaw_errors, size_errors = [], []
    for _ in range(60):
        truth = box(*rng.uniform(-20, 20, 2), rng.uniform(-180, 180), label)
        (found,) = find_objects(GRID, *perfect_maps([truth]))
        yaw_errors.append(yaw_error_deg(found, truth))
        size_errors.append(found.size[:2] - truth.size[:2])
    assert np.mean(yaw_errors) < 2.5
    assert np.abs(np.mean(size_errors, axis=0)).max() < 0.1


def test_cars_side_by_side_are_told_apart():
    truth = [box(10.0, 2.6 * index, 2.0) for index in range(4)]
    found = sorted(find_objects(GRID, *perfect_maps(truth)), key=lambda each: each.center[1])
    np.testing.assert_allclose(
        [each.center[:2] for each in found], [each.center[:2] for each in truth], atol=0.05
    )


def test_an_object_cut_by_the_edge_keeps_its_centre_and_about_its_size():
    truth = box(49.5, 10.0, 0.0, "bus")
    (found,) = find_objects(GRID, *perfect_maps([truth]))
    np.testing.assert_allclose(found.center[:2], truth.center[:2], atol=0.05)
    np.testing.assert_allclose(found.size[:2], truth.size[:2], atol=0.5)


def test_boxes_stand_on_the_ground_and_carry_label_height_and_score():
    chosen = PipelineSettings(object_label="van", object_height_m=2.4)
    (found,) = find_objects(GRID, *perfect_maps([box(10.25, 5.25, 30.0)]), chosen)
    assert found.corners[:, 2].min() == pytest.approx(0.0)
    assert found.label == "van"
    assert found.size[2] == 2.4
    assert found.score == pytest.approx(1.0)


def test_objects_come_highest_first_with_their_rank_as_id():
    probability, center, offset = perfect_maps([box(10.0, 5.0, 0.0), box(-10.0, 5.0, 0.0)])
    center[:, :100] *= 0.6
    found = find_objects(GRID, probability, center, offset)
    assert [each.object_id for each in found] == [0, 1]
    assert found[0].center[0] > 0 > found[1].center[0]
    assert found[0].score > found[1].score


def test_a_plateau_in_the_centre_map_is_one_object():
    probability, center, offset = perfect_maps([box(10.0, 5.0, 0.0)])
    center[center > 0.4] = 1.0
    assert len(find_objects(GRID, probability, center, offset)) == 1


def test_thresholds_leave_weak_maps_out():
    probability, center, offset = perfect_maps([box(10.0, 5.0, 0.0)])
    assert find_objects(GRID, probability, center * 0.25, offset) == ()
    assert find_objects(GRID, probability * 0.45, center, offset) == ()
    assert len(find_objects(GRID, probability * 0.55, center * 0.35, offset)) == 1


def test_cells_that_point_elsewhere_do_not_join_an_object():
    probability, center, offset = perfect_maps([box(10.0, 5.0, 0.0)])
    probability[:40, :40] = 1.0
    (found,) = find_objects(GRID, probability, center, offset)
    np.testing.assert_allclose(found.size[:2], (4.5, 1.9), atol=0.5)


def test_empty_maps_give_no_objects():
    empty = np.zeros(GRID.shape, dtype=np.float32)
    assert find_objects(GRID, empty, empty, np.zeros((2, *GRID.shape), np.float32)) == ()


def test_eighty_vehicles_on_a_fine_grid_take_a_few_milliseconds():
    fine = BevGrid.centered(50.0, 0.25)
    maps = perfect_maps(random_boxes(3, 40), fine)
    durations = []
    for _ in range(20):
        started = perf_counter()
        find_objects(fine, *maps)
        durations.append(perf_counter() - started)
    assert min(durations) < 0.010  # about 2 ms on an idle machine, benchmarks/objects.py


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("occupancy_threshold", 0.0),
        ("center_threshold", 1.0),
        ("peak_radius_m", 0.0),
        ("group_radius_m", -1.0),
        ("object_height_m", float("nan")),
        ("min_area_m2", 0.0),
        ("max_objects", 0),
        ("level_tolerance_deg", -0.1),
        ("object_label", "boat"),
    ],
)
def test_settings_without_sense_are_refused_by_name(name, value):
    with pytest.raises(ConfigurationError, match=name):
        PipelineSettings(**{name: value})


def test_settings_are_plain_data():
    chosen = PipelineSettings(occupancy_threshold=0.4, track=True)
    assert PipelineSettings(**chosen.to_dict()) == chosen
