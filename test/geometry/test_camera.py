# SPDX-License-Identifier: Apache-2.0
"""Pinhole cameras and their lenses against OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bev_perception.errors import CalibrationError
from bev_perception.geometry import PinholeCamera

repeatable = settings(derandomize=True, deadline=None, max_examples=40)
small = st.floats(-0.02, 0.02)

plumb_bob = st.tuples(st.floats(-0.4, 0.4), st.floats(-0.2, 0.2), small, small, small)
rational = st.tuples(
    *[st.floats(0.0, 0.6)] * 2, small, small, small, *[st.floats(0.0, 0.6)] * 2, small
)
fisheye = st.tuples(*[st.floats(-0.02, 0.02)] * 4)
lenses = st.one_of(
    st.just(("none", ())),
    st.tuples(st.just("plumb_bob"), plumb_bob),
    st.tuples(st.just("rational_polynomial"), rational),
    st.tuples(st.just("equidistant"), fisheye),
)
FISHEYE = ("equidistant", (-0.02, 0.004, -0.001, 0.0001))
BARREL = ("plumb_bob", (-0.3, 0.1, 0.001, -0.002, -0.02))


def camera_with(lens: tuple[str, tuple[float, ...]]) -> PinholeCamera:
    return PinholeCamera.from_intrinsics(672, 448, 300.0, 310.0, 330.0, 220.0, *lens)


def directions(max_angle_deg: float, count: int = 200) -> np.ndarray:
    """(count, 3) points at most so far off the optical axis, 1 to 50 m away."""
    rng = np.random.default_rng(7)
    angle = np.radians(max_angle_deg) * rng.uniform(0, 1, count)
    around = rng.uniform(-np.pi, np.pi, count)
    unit = np.stack(
        [np.sin(angle) * np.cos(around), np.sin(angle) * np.sin(around), np.cos(angle)], axis=1
    )
    return unit * rng.uniform(1, 50, count)[:, None]


def opencv_project(camera: PinholeCamera, points: np.ndarray) -> np.ndarray:
    zero = np.zeros(3)
    coefficients = np.array(camera.distortion or (0.0,) * 4)
    module = cv2.fisheye if camera.distortion_model == "equidistant" else cv2
    matrix = np.array(camera.matrix)
    return module.projectPoints(points[:, None], zero, zero, matrix, coefficients)[0][:, 0]


@repeatable
@given(lenses)
def test_projection_is_opencvs(lens: tuple[str, tuple[float, ...]]) -> None:
    camera = camera_with(lens)
    points = directions(85.0 if lens[0] == "equidistant" else 60.0)
    pixels, valid = camera.project(points)
    assert valid.any()
    np.testing.assert_allclose(pixels[valid], opencv_project(camera, points)[valid], atol=1e-8)
    assert np.isnan(pixels[~valid]).all()


@repeatable
@given(lenses)
def test_a_ray_goes_back_through_its_pixel(lens: tuple[str, tuple[float, ...]]) -> None:
    camera = camera_with(lens)
    points = directions(85.0 if lens[0] == "equidistant" else 55.0)
    pixels, valid = camera.project(points)
    rays = camera.unproject(pixels[valid])
    found = np.isfinite(rays).all(axis=1)
    again, again_valid = camera.project(rays[found])
    assert again_valid.all()
    np.testing.assert_allclose(again, pixels[valid][found], atol=1e-5)
    assert found.mean() > 0.97
    # Right at the radius where a lens folds back, a pixel hardly tells the angle.
    ideal = points[valid][found] / points[valid][found][:, 2:]
    assert np.quantile(np.abs(rays[found] - ideal), 0.9) < 1e-7


@pytest.mark.parametrize("lens", [FISHEYE, BARREL, ("plumb_bob", (0.2, -0.05, 0.001, 0.001))])
def test_every_pixel_of_the_image_has_the_ray_that_opencv_projects_back(
    lens: tuple[str, tuple[float, ...]],
) -> None:
    camera = PinholeCamera.from_intrinsics(672, 448, 500.0, 500.0, 335.0, 224.0, *lens)
    pixels = np.stack(np.meshgrid(np.arange(0, 672, 13), np.arange(0, 448, 13)), axis=-1)
    rays = camera.unproject(pixels)
    assert rays.shape == (*pixels.shape[:-1], 3)
    assert np.isfinite(rays).all()
    back = opencv_project(camera, rays.reshape(-1, 3)).reshape(pixels.shape)
    np.testing.assert_allclose(back, pixels, atol=1e-6)


def test_a_fisheye_ray_at_88_degrees_is_exact() -> None:
    camera = camera_with(FISHEYE)
    point = np.array([np.sin(np.radians(88.0)), 0.0, np.cos(np.radians(88.0))])
    ray = camera.unproject(camera.project(point)[0])
    assert np.degrees(np.arctan(ray[0])) == pytest.approx(88.0, abs=1e-9)


@pytest.mark.parametrize(
    "lens",
    [
        ("plumb_bob", (-0.3, 0.0, 0.0, 0.0)),
        ("plumb_bob", (-0.35, 0.05, 0.0, 0.0)),
        ("rational_polynomial", (-0.6, 0.05, 0.0, 0.0, 0.0, -0.1, 0.0, 0.0)),
        ("equidistant", (-0.15, 0.0, 0.0, 0.0)),
    ],
)
def test_directions_where_the_lens_model_folds_back_are_not_valid(
    lens: tuple[str, tuple[float, ...]],
) -> None:
    camera = camera_with(lens)
    angles = np.radians(np.arange(0.0, 89.0, 0.01))
    points = np.stack([np.tan(angles), np.zeros_like(angles), np.ones_like(angles)], axis=1)
    radius = opencv_project(camera, points)[:, 0]
    first_fold = int(np.flatnonzero(np.diff(radius) <= 0)[0])
    _, valid = camera.project(points)
    assert 0 < first_fold < len(angles) - 100
    assert valid[: first_fold - 1].all()
    assert not valid[first_fold + 2 :].any()


def test_a_pixel_that_no_direction_reaches_has_no_ray() -> None:
    camera = camera_with(("plumb_bob", (-0.35, 0.0, 0.0, 0.0)))
    rays = camera.unproject([[330.0, 220.0], [4000.0, 220.0]])
    assert np.isfinite(rays[0]).all()
    assert np.isnan(rays[1, :2]).all()


def test_points_behind_or_in_the_camera_plane_are_not_valid() -> None:
    camera = PinholeCamera.from_field_of_view(672, 448, 100.0)
    pixels, valid = camera.project([[0, 0, 5.0], [0, 0, -5.0], [1, 1, 0.0], [np.nan, 0, 5.0]])
    assert valid.tolist() == [True, False, False, False]
    assert np.isnan(pixels[1:]).all()


def test_shapes_are_kept_and_nothing_is_something() -> None:
    for lens in (("none", ()), BARREL, FISHEYE):
        camera = camera_with(lens)
        pixels, valid = camera.project(np.ones((2, 3, 4, 3)))
        assert pixels.shape == (2, 3, 4, 2)
        assert valid.shape == (2, 3, 4)
        assert camera.project(np.zeros((0, 3)))[0].shape == (0, 2)
        assert camera.unproject(np.zeros((0, 2))).shape == (0, 3)
        assert camera.project([0.0, 0.0, 1.0])[0].tolist() == [330.0, 220.0]


@repeatable
@given(st.integers(8, 2000), st.integers(8, 2000), st.floats(20.0, 150.0))
def test_field_of_view_spans_the_outer_edges(width: int, height: int, degrees: float) -> None:
    camera = PinholeCamera.from_field_of_view(width, height, degrees)
    half = np.radians(degrees / 2)
    pixels, _ = camera.project([[-np.tan(half), 0, 1], [np.tan(half), 0, 1]])
    np.testing.assert_allclose(pixels[:, 0], [-0.5, width - 0.5], atol=1e-9)
    np.testing.assert_allclose(pixels[:, 1], (height - 1) / 2, atol=1e-9)
    assert camera.horizontal_fov_deg == pytest.approx(degrees)
    inwards = np.array([[0.01, 0.0], [-0.01, 0.0]])
    assert camera.contains(pixels + inwards).all()
    assert not camera.contains(pixels - inwards).any()


@pytest.mark.parametrize("lens", [BARREL, ("plumb_bob", (0.2, -0.05, 0.001, 0.001)), FISHEYE])
def test_undistortion_map_is_opencvs(lens: tuple[str, tuple[float, ...]]) -> None:
    camera = camera_with(lens)
    target = PinholeCamera.from_field_of_view(500, 300, 80.0)
    coefficients = np.array(lens[1])
    matrix, target_matrix = np.array(camera.matrix), np.array(target.matrix)
    module = cv2.fisheye if lens[0] == "equidistant" else cv2
    expected = module.initUndistortRectifyMap(
        matrix, coefficients, np.eye(3), target_matrix, (500, 300), cv2.CV_32FC1
    )
    map_u, map_v = camera.undistortion_map(target)
    assert map_u.dtype == np.float32
    assert (map_u > -1e4).mean() > 0.9
    seen = map_u > -1e4
    np.testing.assert_allclose(map_u[seen], expected[0][seen], atol=2e-3)
    np.testing.assert_allclose(map_v[seen], expected[1][seen], atol=2e-3)


def test_undistorted_image_shows_a_point_where_the_ideal_camera_projects_it() -> None:
    camera = PinholeCamera.from_intrinsics(640, 480, 300.0, 300.0, 319.5, 239.5, *BARREL)
    point = np.array([0.7, -0.4, 1.0])
    rows, columns = np.mgrid[:480, :640]
    u, v = camera.project(point)[0]
    image = np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / 18.0).astype(np.float32)
    straight = cv2.remap(image, *camera.undistortion_map(), cv2.INTER_LINEAR)
    row, column = np.unravel_index(straight.argmax(), straight.shape)
    ideal = camera.undistorted().project(point)[0]
    np.testing.assert_allclose((column, row), ideal, atol=1.0)
    assert np.abs(ideal - (u, v)).max() > 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fx": 0.0}, "not calibrated"),
        ({"fx": float("nan")}, "finite"),
        ({"width": 0}, "0x448"),
        ({"distortion_model": "plumbob"}, "plumbob.*plumb_bob"),
        ({"distortion_model": "equidistant", "distortion": (0.1,)}, "takes 4 .*got 1"),
        ({"distortion_model": "plumb_bob", "distortion": (np.inf,) * 5}, "not finite"),
    ],
)
def test_values_that_make_no_camera_are_refused(changes: dict, message: str) -> None:
    values = {"width": 672, "height": 448, "fx": 300.0, "fy": 300.0, "cx": 335.5, "cy": 223.5}
    with pytest.raises(CalibrationError, match=message):
        PinholeCamera.from_intrinsics(**{**values, **changes})


def test_undistortion_map_points_off_the_image_where_the_lens_sees_nothing() -> None:
    camera = camera_with(("plumb_bob", (-0.3, 0.0, 0.0, 0.0)))  # folds back 46.5 degrees off axis
    map_u, map_v = camera.undistortion_map(PinholeCamera.from_field_of_view(400, 100, 110.0))
    seen = map_u > -1000.0
    assert seen[50, 200]
    assert not seen[:, 0].any()
    assert (map_v[~seen] < -1000.0).all()
