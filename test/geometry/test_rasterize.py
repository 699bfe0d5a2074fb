# SPDX-License-Identifier: Apache-2.0
"""Footprints become cells without bias."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from bev_perception.geometry import BevGrid, ObjectBox, RigidTransform
from bev_perception.geometry.rasterize import cells_in_convex_polygon, rasterize_polygons

repeatable = settings(derandomize=True, deadline=None, max_examples=40)
GRID = BevGrid(-20.0, -12.0, 0.4, 100, 60)


def footprint(
    x: float, y: float, yaw: float, length: float = 4.5, width: float = 1.8
) -> np.ndarray:
    pose = RigidTransform.from_euler(yaw=yaw, translation=(x, y, 0.0))
    return ObjectBox("car", 1, pose, (length, width, 1.5)).footprint


def mask_of(*polygons: np.ndarray, grid: BevGrid = GRID) -> np.ndarray:
    return rasterize_polygons(grid, polygons)


@repeatable
@given(
    st.floats(-24, 24), st.floats(-15, 15), st.floats(-4, 4), st.floats(0.2, 14), st.floats(0.2, 4)
)
def test_cells_are_those_whose_centre_shapely_finds_inside(
    x: float, y: float, yaw: float, length: float, width: float
) -> None:
    corners = footprint(x, y, yaw, length, width)
    polygon = shapely.Polygon(corners)
    centers = shapely.points(GRID.cell_centers)
    expected = shapely.contains(polygon, centers)
    on_edge = shapely.distance(polygon.exterior, centers) < 1e-6
    mask = mask_of(corners)
    assert (mask == expected)[~on_edge].all()
    np.testing.assert_array_equal(mask_of(corners[::-1]), mask)


@pytest.mark.parametrize(("length", "width"), [(4.5, 1.8), (2.0, 0.7), (12.0, 2.55)])
def test_mean_area_and_centroid_over_random_placements_are_the_footprints(
    length: float, width: float
) -> None:
    rng = np.random.default_rng(11)
    count = 1500
    areas, shifts = np.zeros(count), np.zeros((count, 2))
    for index in range(count):
        x, y = rng.uniform(-4, 4, 2)
        rows, columns = cells_in_convex_polygon(
            GRID, footprint(x, y, rng.uniform(-np.pi, np.pi), length, width)
        )
        areas[index] = len(rows) * GRID.resolution**2
        centers = GRID.to_metres(np.stack([rows, columns], axis=-1))
        # summed, not averaged, over cells: that is linear, so it has no bias of its own
        shifts[index] = (centers - (x, y)).sum(axis=0) * GRID.resolution**2 / (length * width)
    truth = length * width
    area_error = 4.5 * areas.std() / np.sqrt(count)
    shift_error = 4.5 * shifts.std(axis=0) / np.sqrt(count)
    # Half a cell of growth on every side would be 0.2 m times the circumference
    assert area_error < 0.25 * GRID.resolution / 2 * 2 * (length + width)
    assert (shift_error < 0.1 * GRID.resolution).all()
    assert abs(areas.mean() - truth) < area_error
    assert (np.abs(shifts.mean(axis=0)) < shift_error).all()


@repeatable
@given(
    st.floats(-3, 3),
    st.floats(-3, 3),
    st.floats(-4, 4),
    st.integers(-20, 20),
    st.integers(-12, 12),
)
def test_moving_by_whole_cells_moves_the_mask(
    x: float, y: float, yaw: float, columns: int, rows: int
) -> None:
    here = mask_of(footprint(x, y, yaw))
    moved = footprint(x, y, yaw) + GRID.resolution * np.array([columns, rows])
    np.testing.assert_array_equal(mask_of(moved), np.roll(here, (rows, columns), axis=(0, 1)))


@pytest.mark.parametrize("yaw", np.radians([0, 90, 180, 270]))
@pytest.mark.parametrize("x", GRID.x_centers[40:44])
def test_edges_through_cell_centres_neither_grow_nor_shrink_the_mask(yaw: float, x: float) -> None:
    long, wide = (10, 4) if np.cos(2 * yaw) > 0 else (4, 10)
    corners = footprint(x, GRID.y_centers[30], yaw, length=4.0, width=1.6)
    mask = mask_of(corners)
    assert mask.any(axis=0).sum() == long
    assert mask.any(axis=1).sum() == wide
    assert mask.sum() == long * wide


@repeatable
@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-4, 4), st.booleans())
def test_pieces_that_share_edges_share_no_cell_and_leave_none_out(
    x: float, y: float, yaw: float, on_a_cell_centre: bool
) -> None:
    if on_a_cell_centre:
        x, y = GRID.cell_centers[31, 52]
        yaw = np.pi / 2 * round(yaw)
    a, b, c, d = footprint(x, y, yaw, 6.4, 4.0)
    middle = (a + b + c + d) / 4
    pieces = [mask_of(np.stack([p, q, middle])) for p, q in ((a, b), (b, c), (c, d), (d, a))]
    total = np.sum(pieces, axis=0)
    np.testing.assert_array_equal(total, mask_of(np.stack([a, b, c, d])).astype(int))


def test_outside_the_grid_there_are_no_cells_and_at_its_edge_the_part_inside() -> None:
    assert len(cells_in_convex_polygon(GRID, footprint(200.0, 0.0, 0.3))[0]) == 0
    assert len(cells_in_convex_polygon(GRID, footprint(-25.0, -50.0, 0.3))[0]) == 0
    mask = mask_of(footprint(GRID.x_max, 0.1, 0.0, length=8.0, width=2.0))
    rows, columns = np.nonzero(mask)
    assert columns.min() == 90
    assert columns.max() == 99
    assert len(np.unique(rows)) == 5


def test_a_car_ahead_on_the_left_fills_high_columns_and_high_rows() -> None:
    rows, columns = np.nonzero(mask_of(footprint(15.0, 8.0, 0.0)))
    assert rows.min() > GRID.num_y / 2
    assert columns.min() > GRID.num_x / 2
