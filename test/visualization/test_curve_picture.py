# SPDX-License-Identifier: Apache-2.0
"""Curves lie where their numbers say, and gaps are left out."""

from __future__ import annotations

import numpy as np

from bev_perception.visualization import Curve, curve_picture

ORANGE = (255, 138, 30)
SIZE = (400, 300)
PLOT = np.s_[40 : 300 - 52, 64 : 400 - 18]
"""The square from 0 to 1."""


def orange_pixels(curves, **options):
    picture = curve_picture("title", "x", "y", curves, size=SIZE, **options)
    assert picture.shape == (300, 400, 3)
    rows, columns = np.nonzero((picture[PLOT] == ORANGE).all(axis=-1))
    height, width = picture[PLOT].shape[:2]
    return columns / (width - 1), 1.0 - rows / (height - 1)


def test_a_horizontal_line_lies_at_its_height_from_left_to_right():
    x, y = orange_pixels([Curve("", [0.2, 0.8], [0.5, 0.5], ORANGE)])
    np.testing.assert_allclose(y, 0.5, atol=0.02)
    assert (round(x.min(), 1), round(x.max(), 1)) == (0.2, 0.8)


def test_unknown_values_are_left_out():
    x, y = orange_pixels([Curve("", [0.1, None, 0.3], [0.9, 0.1, 0.9], ORANGE)])
    np.testing.assert_allclose(y, 0.9, atol=0.02)
    assert x.size > 0
    assert orange_pixels([Curve("", [None], [None], ORANGE)])[0].size == 0


def test_points_of_a_rising_curve_are_marked_where_they_are():
    plain = orange_pixels([Curve("", [0.25, 0.75], [0.25, 0.75], ORANGE)])[0].size
    x, y = orange_pixels([Curve("", [0.25, 0.75], [0.25, 0.75], ORANGE, marked=True)])
    assert x.size > plain
    near = np.hypot(x - 0.25, y - 0.25) < 0.03
    assert near.sum() > 20
