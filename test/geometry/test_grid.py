# SPDX-License-Identifier: Apache-2.0
"""The BEV grid between metres, cells and nav_msgs/OccupancyGrid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import BevGrid

repeatable = settings(derandomize=True, deadline=None, max_examples=50)
grids = st.builds(
    BevGrid,
    st.floats(-100, 100),
    st.floats(-100, 100),
    st.floats(0.05, 2.0),
    st.integers(1, 400),
    st.integers(1, 400),
)


@repeatable
@given(grids, st.floats(-0.5, 1.5), st.floats(-0.5, 1.5))
def test_metres_and_cells_are_inverses(grid: BevGrid, share_x: float, share_y: float) -> None:
    point = np.array(
        [
            grid.x_min + share_x * (grid.x_max - grid.x_min),
            grid.y_min + share_y * (grid.y_max - grid.y_min),
        ]
    )
    np.testing.assert_allclose(grid.to_metres(grid.to_cells(point)), point, atol=1e-9)


@repeatable
@given(grids, st.data())
def test_a_cell_centre_has_whole_numbers_and_lies_on_the_grid(
    grid: BevGrid, data: st.DataObject
) -> None:
    row = data.draw(st.integers(0, grid.num_y - 1))
    column = data.draw(st.integers(0, grid.num_x - 1))
    center = grid.cell_centers[row, column]
    np.testing.assert_allclose(grid.to_cells(center), (row, column), atol=1e-6)
    np.testing.assert_array_equal(center, (grid.x_centers[column], grid.y_centers[row]))
    assert grid.contains(center)
    assert grid.cell_centers.shape == (*grid.shape, 2)


def test_flat_array_is_in_the_order_of_occupancy_grid() -> None:
    grid = BevGrid(x_min=-10.0, y_min=-6.0, resolution=0.5, num_x=60, num_y=24)
    occupied = np.zeros(grid.shape, dtype=np.int8)
    row, column = np.rint(grid.to_cells([12.25, 3.75])).astype(int)  # ahead, to the left
    occupied[row, column] = 100
    index = int(np.flatnonzero(occupied.ravel())[0])
    # OccupancyGrid: data[y * width + x], origin is the corner of cell (0, 0), x forward
    width, origin_x, origin_y = grid.num_x, grid.x_min, grid.y_min
    assert origin_x + (index % width + 0.5) * grid.resolution == 12.25
    assert origin_y + (index // width + 0.5) * grid.resolution == 3.75


def test_the_grid_ends_at_its_outer_edges() -> None:
    grid = BevGrid.centered(50.0, 0.5)
    assert grid.shape == (200, 200)
    assert (grid.x_max, grid.y_max) == (50.0, 50.0)
    points = [[-50.0, 0], [49.999, 0], [50.0, 0], [0, -50.001], [0, 49.999]]
    assert grid.contains(points).tolist() == [True, True, False, False, True]


def test_a_grid_survives_as_plain_values() -> None:
    grid = BevGrid(-10.0, -6.0, 0.4, 60, 24)
    assert BevGrid(**grid.to_dict()) == grid


@pytest.mark.parametrize(
    ("half_extent", "resolution", "message"),
    [(50.0, 0.3, "whole number"), (50.0, 0.0, "positive"), (float("nan"), 0.5, "positive")],
)
def test_a_grid_that_does_not_fit_is_refused(
    half_extent: float, resolution: float, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        BevGrid.centered(half_extent, resolution)
    with pytest.raises(ConfigurationError, match="whole number of cells"):
        BevGrid(0.0, 0.0, 0.5, 10, 0)


def test_whole_cell_counts_may_come_as_floats_and_fractions_may_not():
    grid = BevGrid(-8.0, -4.0, 0.5, 32.0, 16.0)
    assert grid == BevGrid(-8.0, -4.0, 0.5, 32, 16)
    assert grid.cell_centers.shape == (16, 32, 2)
    with pytest.raises(ConfigurationError, match=r"whole number.*31\.5"):
        BevGrid(-8.0, -4.0, 0.5, 31.5, 16)
