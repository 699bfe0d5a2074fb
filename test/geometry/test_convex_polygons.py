# SPDX-License-Identifier: Apache-2.0
"""What rectangles share, against shapely, nearly equal ones above all."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bev_perception.geometry import ObjectBox, RigidTransform
from bev_perception.geometry.convex_polygons import convex_intersection, signed_area

repeatable = settings(derandomize=True, deadline=None, max_examples=200)
sides = st.floats(0.3, 12.0)
turns = st.floats(-np.pi, np.pi)
shifts = st.floats(-4.0, 4.0)
CENTER = np.array([40.0, -30.0])


def rectangle(
    length: float, width: float, yaw: float, shift: tuple[float, float] = (0.0, 0.0)
) -> NDArray[np.float64]:
    pose = RigidTransform.from_euler(yaw=yaw, translation=(*(CENTER + shift), 0.0))
    return ObjectBox("car", 1, pose, np.array([length, width, 1.5])).footprint


def assert_like_shapely(first: NDArray[np.float64], second: NDArray[np.float64]) -> None:
    expected = shapely.intersection(shapely.Polygon(first), shapely.Polygon(second)).area
    for one, other in ((first, second), (second, first), (first, second[::-1])):
        assert signed_area(convex_intersection(one, other)) == pytest.approx(expected, abs=1e-9)


@repeatable
@given(sides, sides, turns, sides, sides, turns, shifts, shifts)
def test_rectangles_share_what_shapely_says(
    length: float,
    width: float,
    yaw: float,
    other_length: float,
    other_width: float,
    other_yaw: float,
    x: float,
    y: float,
) -> None:
    first = rectangle(length, width, yaw)
    assert_like_shapely(first, rectangle(other_length, other_width, other_yaw, (x, y)))


@repeatable
@given(
    sides,
    sides,
    turns,
    st.sampled_from([0.0, np.pi / 2, np.pi, -np.pi]),
    st.sampled_from([0.0, 1e-12, 1e-9, 1e-6, 1e-3]),
    st.integers(0, 1000),
)
def test_nearly_equal_rectangles_share_nearly_all(
    length: float, width: float, yaw: float, turn: float, size: float, seed: int
) -> None:
    error = size * np.random.default_rng(seed).uniform(-1.0, 1.0, 5)
    first = rectangle(length, width, yaw)
    second = rectangle(
        length + error[0], width + error[1], yaw + turn + error[2], (error[3], error[4])
    )
    assert_like_shapely(first, second)


def test_what_is_apart_shares_nothing_and_what_lies_inside_all() -> None:
    large, small = rectangle(6.0, 4.0, 0.5), rectangle(2.0, 1.0, -1.0)
    far = rectangle(2.0, 1.0, 0.0, (9.0, 0.0))
    assert convex_intersection(large, far).shape == (0, 2)
    assert signed_area(convex_intersection(large, small)) == pytest.approx(2.0)
    assert signed_area(convex_intersection(small, large)) == pytest.approx(2.0)


def test_areas_are_negative_clockwise() -> None:
    corners = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    assert signed_area(corners) == 6.0
    assert signed_area(corners[::-1]) == -6.0
