# SPDX-License-Identifier: Apache-2.0
"""Intrinsics after resize and crop against images that were really resized and cropped."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bev_perception.geometry import PinholeCamera

BARREL = ("plumb_bob", (-0.2, 0.05, 0.001, -0.002, 0.0))


def blob(width: int, height: int, u: float, v: float, sigma: float) -> np.ndarray:
    """Light with a Gaussian profile around a pixel position, (height, width) float32."""
    rows, columns = np.mgrid[:height, :width]
    squared = (columns - u) ** 2 + (rows - v) ** 2
    return np.exp(-squared / (2 * sigma**2)).astype(np.float32)


def centroid(image: np.ndarray) -> np.ndarray:
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(columns * image).sum(), (rows * image).sum()]) / image.sum()


@pytest.mark.parametrize("lens", [("none", ()), BARREL])
@pytest.mark.parametrize(
    ("width", "height", "interpolation"),
    [
        (336, 224, cv2.INTER_AREA),
        (480, 320, cv2.INTER_AREA),
        (168, 300, cv2.INTER_AREA),
        (336, 224, cv2.INTER_LINEAR),
        (500, 333, cv2.INTER_LINEAR),
        (1000, 900, cv2.INTER_LINEAR),
    ],
)
def test_a_point_lands_where_the_resized_image_shows_it(
    width: int, height: int, interpolation: int, lens: tuple[str, tuple[float, ...]]
) -> None:
    camera = PinholeCamera.from_intrinsics(672, 448, 300.0, 310.0, 330.0, 220.0, *lens)
    point = np.array([0.55, -0.31, 1.0])
    image = blob(672, 448, *camera.project(point)[0], sigma=9.0)
    resized = cv2.resize(image, (width, height), interpolation=interpolation)
    expected, _ = camera.resized(width, height).project(point)
    np.testing.assert_allclose(centroid(resized), expected, atol=2e-3)


def test_a_cropped_window_shows_the_point_where_the_cropped_camera_projects_it() -> None:
    camera = PinholeCamera.from_intrinsics(672, 448, 300.0, 310.0, 330.0, 220.0, *BARREL)
    point = np.array([0.2, -0.1, 1.0])
    image = blob(672, 448, *camera.project(point)[0], sigma=5.0)
    window = camera.cropped(left=250, top=100, width=300, height=200)
    expected, _ = window.project(point)
    np.testing.assert_allclose(centroid(image[100:300, 250:550]), expected, atol=1e-3)
    assert (window.width, window.height) == (300, 200)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(1, 1500), st.integers(1, 1500), st.integers(1, 1500), st.integers(1, 1500))
def test_resizing_keeps_the_view(w1: int, h1: int, w2: int, h2: int) -> None:
    camera = PinholeCamera.from_intrinsics(672, 448, 300.0, 310.0, 330.0, 220.0)
    resized = camera.resized(w1, h1)
    edges = camera.unproject([[-0.5, -0.5], [671.5, 447.5]])
    np.testing.assert_allclose(
        resized.project(edges)[0], [[-0.5, -0.5], [w1 - 0.5, h1 - 0.5]], atol=1e-9
    )
    direct, twice = camera.resized(w2, h2), resized.resized(w2, h2)
    np.testing.assert_allclose(twice.matrix, direct.matrix, rtol=1e-9, atol=1e-9)
    assert twice.horizontal_fov_deg == pytest.approx(camera.horizontal_fov_deg)


def test_skew_is_kept_by_resizing_projecting_and_back() -> None:
    matrix = np.array([[300.0, 5.0, 330.0], [0.0, 310.0, 220.0], [0.0, 0.0, 1.0]])
    camera = PinholeCamera(672, 448, matrix, *BARREL)
    point = np.array([0.3, 0.2, 1.0])
    pixel = camera.project(point)[0]
    np.testing.assert_allclose(camera.unproject(pixel), point, atol=1e-12)
    expected = (pixel + 0.5) * [2.0, 0.5] - 0.5
    np.testing.assert_allclose(camera.resized(1344, 224).project(point)[0], expected, atol=1e-9)
