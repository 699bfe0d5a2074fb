# SPDX-License-Identifier: Apache-2.0
"""Boxes and grids land where geometry says, through any lens, near and far."""

from __future__ import annotations

import numpy as np
import pytest

from bev_perception.geometry import ObjectBox, PinholeCamera, RigCamera, RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.visualization import box_polylines, draw_boxes, draw_ground_grid
from bev_perception.visualization.camera_lines import project_edge

WIDTH, HEIGHT = 320, 240
LENSES = {
    "none": (160.0, ()),
    "plumb_bob": (160.0, (-0.28, 0.07, 0.001, -0.0005)),
    "equidistant": (110.0, (0.02, -0.01, 0.002, 0.0)),
}


def camera(lens: str = "none", yaw_deg: float = 0.0, pitch_deg: float = 5.0) -> RigCamera:
    focal, distortion = LENSES[lens]
    intrinsics = PinholeCamera.from_intrinsics(
        WIDTH, HEIGHT, focal, focal, 159.5, 119.5, lens, distortion
    )
    pose = RigidTransform.from_euler(
        0.0, np.radians(pitch_deg), np.radians(yaw_deg), (1.5, 0.0, 1.6)
    )
    return RigCamera(intrinsics, pose @ BODY_T_OPTICAL)


def box(x: float, y: float, yaw: float = 0.3) -> ObjectBox:
    pose = RigidTransform.from_euler(yaw=yaw, translation=(x, y, 0.75))
    return ObjectBox("car", 1, pose, np.array([4.5, 1.9, 1.5]))


def gray() -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), 90, np.uint8)


def has_color(image: np.ndarray, pixel: np.ndarray, color: tuple[int, int, int]) -> bool:
    u, v = np.round(pixel).astype(int)
    patch = image[max(v - 1, 0) : v + 2, max(u - 1, 0) : u + 2].astype(int)
    return bool((np.abs(patch - color).max(axis=-1) < 90).any())


@pytest.mark.parametrize("lens", LENSES)
def test_corners_are_coloured_where_they_project(lens: str) -> None:
    viewed, target, color = camera(lens), box(9.0, 1.0), (255, 0, 0)
    image = draw_boxes(gray(), viewed, [target], color)
    pixels, valid = viewed.project(target.corners)
    assert valid.all()
    assert all(has_color(image, pixel, color) for pixel in pixels)


def test_nothing_is_drawn_away_from_the_box() -> None:
    viewed, target = camera(), box(12.0, 0.0)
    image = draw_boxes(gray(), viewed, [target])
    pixels, _ = viewed.project(target.corners)
    low, high = pixels.min(axis=0) - 8, pixels.max(axis=0) + 8
    rows, columns = np.nonzero((image != 90).any(axis=-1))
    assert len(rows) > 0
    assert columns.min() >= low[0]
    assert columns.max() <= high[0]
    assert rows.min() >= low[1]
    assert rows.max() <= high[1]


def test_the_image_given_is_not_changed() -> None:
    image = gray()
    draw_boxes(image, camera(), [box(9.0, 0.0)])
    draw_ground_grid(image, camera())
    assert (image == 90).all()


def test_a_box_behind_the_camera_draws_nothing() -> None:
    assert (draw_boxes(gray(), camera(), [box(-12.0, 0.0)]) == 90).all()


@pytest.mark.parametrize("lens", LENSES)
def test_an_edge_through_the_camera_plane_shows_its_front_part_only(lens: str) -> None:
    """Without a near plane the rear end would appear mirrored above the horizon."""
    viewed = camera(lens, pitch_deg=0.0)
    lines = project_edge(viewed, np.array([12.0, 1.0, 0.0]), np.array([-12.0, 1.0, 0.0]))
    pixels = np.concatenate(lines)
    assert (pixels[:, 0] < 160).all(), "y = +1 m stays in the left half"
    assert (pixels[:, 1] > 119).all(), "the ground stays under the horizon"


@pytest.mark.parametrize("lens", LENSES)
def test_edges_follow_the_lens(lens: str) -> None:
    """Every point of a straight edge lies within 0.2 px of the polyline drawn for it."""
    viewed = camera(lens)
    start, end = np.array([4.0, 3.0, 0.2]), np.array([5.0, -3.0, 2.4])
    (line,) = project_edge(viewed, start, end)
    points = start + np.linspace(0.0, 1.0, 200)[:, None] * (end - start)
    pixels, valid = viewed.project(points)
    assert valid.all()
    assert max(distance_to_polyline(pixel, line) for pixel in pixels) < 0.2


def distance_to_polyline(pixel: np.ndarray, line: np.ndarray) -> float:
    starts, steps = line[:-1], np.diff(line, axis=0)
    lengths = np.maximum((steps**2).sum(axis=1), 1e-12)
    along = np.clip(((pixel - starts) * steps).sum(axis=1) / lengths, 0.0, 1.0)
    return float(np.linalg.norm(starts + along[:, None] * steps - pixel, axis=1).min())


def test_the_heading_mark_points_ahead() -> None:
    """Seen from behind at a distance, the mark's far end is the farthest ground point."""
    viewed, target = camera(), box(10.0, 0.0, yaw=0.0)
    pixels = np.concatenate(box_polylines(viewed, target))
    tip, _ = viewed.project(np.array([10.0 + 2.25 + 0.4, 0.0, 0.0]))
    assert np.linalg.norm(pixels - tip, axis=1).min() < 1e-6


def test_pictures_of_another_size_are_the_image_resampled() -> None:
    viewed, color = camera(), (255, 0, 0)
    half = draw_boxes(gray()[::2, ::2], viewed, [box(7.0, 0.5)], color)
    pixels, _ = viewed.resized(WIDTH // 2, HEIGHT // 2).project(box(7.0, 0.5).corners)
    assert all(has_color(half, pixel, color) for pixel in pixels)


def test_ground_grid_and_horizon_lie_where_a_flat_world_has_them() -> None:
    viewed = camera(pitch_deg=8.0)
    image = draw_ground_grid(gray(), viewed, labels=False)
    horizon_row = 119.5 - 160.0 * np.tan(np.radians(8.0))
    changed = np.nonzero((image != 90).any(axis=(1, 2)))[0]
    assert changed.min() == pytest.approx(horizon_row, abs=2.0)
    crossing, _ = viewed.project(np.array([10.0, 0.0, 0.0]))
    u, v = np.round(crossing).astype(int)
    assert (image[v, u] != 90).any()


def test_ground_grid_can_be_levelled() -> None:
    """On a vehicle that pitches, the horizon of the world is not the one of the vehicle."""
    viewed = camera(pitch_deg=0.0)
    base_T_ground = RigidTransform.from_euler(pitch=np.radians(-4.0))
    image = draw_ground_grid(gray(), viewed, base_T_ground=base_T_ground, labels=False)
    changed = np.nonzero((image != 90).any(axis=(1, 2)))[0]
    assert changed.min() == pytest.approx(119.5 - 160.0 * np.tan(np.radians(4.0)), abs=2.0)


@pytest.mark.filterwarnings("error")
def test_an_impossible_calibration_draws_nothing_and_says_nothing() -> None:
    intrinsics = PinholeCamera.from_intrinsics(WIDTH, HEIGHT, 1e300, 1e300, 159.5, 119.5)
    viewed = RigCamera(intrinsics, camera().base_T_camera)
    with np.errstate(over="ignore"):
        image = draw_boxes(gray(), viewed, [box(9.0, 1.0)])
    assert image.shape == gray().shape
