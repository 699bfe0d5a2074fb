# SPDX-License-Identifier: Apache-2.0
"""The quick way to shrink gives OpenCV's values, bit for bit, and says where it does."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from bev_perception.perception.area_shrink import AreaShrink

RATIOS = [
    pytest.param((448, 672), (320, 480), id="7:5, the default rig"),
    pytest.param((45, 63), (27, 49), id="5:3 and 9:7"),
    pytest.param((720, 1280), (270, 480), id="8:3, whose means can be halves"),
    pytest.param((480, 640), (360, 480), id="4:3"),
    pytest.param((150, 165), (140, 154), id="15:14"),
    pytest.param((448, 672), (192, 288), id="7:3"),
]


def patterns(size: tuple[int, int]) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (*size, 3), dtype=np.uint8)
    edges = (255 * random.integers(0, 2, (*size, 3))).astype(np.uint8)
    small = random.integers(126, 130, (*size, 3), dtype=np.uint8)
    return [noise, edges, small, cv2.GaussianBlur(noise, (0, 0), 2.0), np.full_like(noise, 255)]


@pytest.mark.parametrize(("source", "target"), RATIOS)
def test_values_are_those_of_opencv(source, target):
    assert AreaShrink.can_shrink(source, target)
    shrink = AreaShrink(source, target)
    for image in patterns(source):
        out = np.empty((*target, 3), dtype=np.uint8)
        shrink(image, out)
        expected = cv2.resize(image, target[::-1], interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        pytest.param((900, 1600), (270, 480), id="10:3, OpenCV rounds halves either way"),
        pytest.param((448, 640), (320, 480), id="7:5 and 4:3 together have halves"),
        pytest.param((640, 960), (320, 480), id="whole factors"),
        pytest.param((448, 672), (320, 479), id="no small ratio"),
        pytest.param((320, 480), (448, 672), id="enlarging"),
        pytest.param((448, 480), (320, 480), id="same width"),
    ],
)
def test_other_sizes_are_left_to_opencv(source, target):
    assert not AreaShrink.can_shrink(source, target)


def test_views_that_are_reversed_or_read_only_are_taken():
    image = patterns((448, 672))[0]
    image.setflags(write=False)
    for view in (image, image[..., ::-1], image[:, ::-1]):
        out = np.empty((320, 480, 3), dtype=np.uint8)
        AreaShrink((448, 672), (320, 480))(view, out)
        expected = cv2.resize(np.ascontiguousarray(view), (480, 320), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(out, expected)
