# SPDX-License-Identifier: Apache-2.0
"""From above, forward is up and left is left."""

from __future__ import annotations

import numpy as np
import pytest

from bev_perception.geometry import BevGrid, ObjectBox, RigidTransform
from bev_perception.geometry.rasterize import rasterize_polygons
from bev_perception.visualization import BevView, bev_picture
from bev_perception.visualization.palette import (
    HIDDEN_FILL,
    OTHER_FILL,
    PREDICTION,
    VEHICLE_FILL,
    probability_colors,
)

GRID = BevGrid.centered(50.0, 0.5)


def box(x: float, y: float, label: str = "car", visibility: float = 1.0) -> ObjectBox:
    pose = RigidTransform.from_euler(yaw=0.4, translation=(x, y, 0.8))
    return ObjectBox(label, 1, pose, np.array([4.5, 1.9, 1.5]), visibility=visibility)


def where(image: np.ndarray, color: tuple[int, int, int], tolerance: int = 12) -> np.ndarray:
    """Mean (row, column) of a colour."""
    rows, columns = np.nonzero(np.abs(image.astype(int) - color).max(axis=-1) < tolerance)
    assert len(rows), f"colour {color} is not in the picture"
    return np.array([rows.mean(), columns.mean()])


@pytest.mark.parametrize("forward", [1, -1])
@pytest.mark.parametrize("left", [1, -1])
def test_every_layer_puts_ahead_left_up_left(forward: int, left: int) -> None:
    target = box(30.0 * forward, 20.0 * left)
    expected = np.array([200.0 - 120.0 * forward, 200.0 - 80.0 * left])
    mask = rasterize_polygons(GRID, [target.footprint])
    from_truth = bev_picture(GRID, None, None, [target], width=400, legend=False)
    from_map = bev_picture(GRID, mask.astype(np.float32), width=400, legend=False)
    from_boxes = bev_picture(GRID, None, None, None, [target], width=400, legend=False)
    assert where(from_truth, VEHICLE_FILL) == pytest.approx(expected, abs=1.5)
    assert where(from_map, VEHICLE_FILL) == pytest.approx(expected, abs=2.0)
    assert where(from_boxes, PREDICTION, 60) == pytest.approx(expected, abs=4.0)


def test_map_and_boxes_agree_to_half_a_cell() -> None:
    view = BevView(GRID, 400)
    cell = np.zeros(GRID.shape, np.float32)
    cell[130, 150] = 1.0
    rows, columns = np.nonzero(view.upright(cell))
    u, v = view.to_pixels(GRID.cell_centers[130, 150])
    assert (columns.mean(), rows.mean()) == pytest.approx((u, v))


def test_pictures_of_oblong_grids_keep_their_shape() -> None:
    grid = BevGrid(-10.0, -20.0, 0.5, 120, 80)
    assert bev_picture(grid, width=400).shape == (600, 400, 3)


def test_hidden_vehicles_and_other_objects_have_their_own_colours() -> None:
    truth = [box(20.0, 20.0), box(20.0, -20.0, visibility=0.3), box(-20.0, 20.0, "pedestrian")]
    image = bev_picture(GRID, None, None, truth, width=400, legend=False)
    assert where(image, VEHICLE_FILL) == pytest.approx((120, 120), abs=2)
    assert where(image, HIDDEN_FILL) == pytest.approx((120, 280), abs=2)
    assert where(image, OTHER_FILL) == pytest.approx((280, 120), abs=2)


def test_unknown_cells_are_hatched_gray() -> None:
    unknown = GRID.cell_centers[..., 1] > 30.0
    image = bev_picture(GRID, np.zeros(GRID.shape, np.float32), unknown, width=400, legend=False)
    left, right = image[250:350, 5:70].reshape(-1, 3), image[250:350, 330:395].reshape(-1, 3)
    assert (np.ptp(left.astype(int), axis=1) < 40).all()
    assert len(np.unique(left, axis=0)) >= 2
    assert np.array_equal(np.unique(right, axis=0)[0], probability_colors(np.zeros((1, 1)))[0, 0])


def test_probability_colours_grow_lighter() -> None:
    colors = probability_colors(np.linspace(0.0, 1.0, 256)[None])[0].astype(float)
    lightness = colors @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > -0.6).all()
    assert lightness[-1] - lightness[0] > 150
