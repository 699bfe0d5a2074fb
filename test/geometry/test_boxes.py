# SPDX-License-Identifier: Apache-2.0
"""Oriented boxes and their footprints against shapely."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from bev_perception.errors import BevError
from bev_perception.geometry import OBJECT_CLASSES, VEHICLE_CLASSES, ObjectBox, RigidTransform

repeatable = settings(derandomize=True, deadline=None, max_examples=50)
sides = st.floats(0.3, 15.0)
sizes = st.tuples(sides, sides, sides)
places = st.tuples(*[st.floats(-80.0, 80.0)] * 3)
tilts = st.floats(-0.4, 0.4)


def upright(size: tuple[float, ...], place: tuple[float, ...], yaw: float) -> ObjectBox:
    return ObjectBox("car", 1, RigidTransform.from_euler(yaw=yaw, translation=place), size)


@repeatable
@given(sizes, places, st.floats(-np.pi, np.pi))
def test_footprint_is_shapelys_turned_rectangle(
    size: tuple[float, ...], place: tuple[float, ...], yaw: float
) -> None:
    polygon = shapely.Polygon(upright(size, place, yaw).footprint)
    expected = shapely.affinity.translate(
        shapely.affinity.rotate(
            shapely.box(-size[0] / 2, -size[1] / 2, size[0] / 2, size[1] / 2),
            yaw,
            origin=(0, 0),
            use_radians=True,
        ),
        place[0],
        place[1],
    )
    assert polygon.exterior.is_ccw
    assert polygon.area == pytest.approx(expected.area)
    assert shapely.hausdorff_distance(polygon, expected) < 1e-9


def test_corners_start_at_the_front_left_of_the_bottom() -> None:
    box = upright((4.0, 2.0, 1.5), (10.0, 0.0, 0.75), np.pi / 2)  # heads to the left
    np.testing.assert_allclose(box.corners[0], [9.0, 2.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(box.corners[3], [11.0, 2.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(box.corners[4], [9.0, 2.0, 1.5], atol=1e-12)


@repeatable
@given(sizes, places, st.floats(-np.pi, np.pi), tilts, tilts)
def test_a_tilted_box_contains_what_its_convex_hull_does(
    size: tuple[float, ...], place: tuple[float, ...], yaw: float, roll: float, pitch: float
) -> None:
    box = ObjectBox("van", 1, RigidTransform.from_euler(roll, pitch, yaw, place), size)
    rng = np.random.default_rng(5)
    weights = rng.dirichlet(np.ones(8), 50)
    assert box.contains(weights @ box.corners).all()
    assert box.contains(box.corners).all()
    beyond = box.center + 1.001 * (box.corners - box.center)
    assert not box.contains(beyond).any()


@repeatable
@given(sizes, places, st.floats(-np.pi, np.pi), tilts)
def test_a_frame_change_moves_corners_like_points(
    size: tuple[float, ...], place: tuple[float, ...], yaw: float, pitch: float
) -> None:
    box = replace(upright(size, place, yaw), velocity=np.array([1.0, 2.0, 3.0]))
    change = RigidTransform.from_euler(0.1, pitch, 1.0, (4.0, 5.0, 6.0))
    moved = box.transformed(change)
    np.testing.assert_allclose(moved.corners, change.apply(box.corners), atol=1e-9)
    assert np.linalg.norm(moved.velocity) == pytest.approx(np.sqrt(14.0))
    back = moved.transformed(change.inverse())
    np.testing.assert_allclose(back.velocity, (1.0, 2.0, 3.0), atol=1e-12)


def test_boxes_with_equal_values_are_equal_even_where_visibility_is_unknown() -> None:
    one, same = (upright((4, 2, 1), (1, 2, 3), 0.5) for _ in range(2))
    assert one == same
    assert len({one, same}) == 1
    assert one != replace(one, velocity=np.array([1.0, 0.0, 0.0]))
    assert pickle.loads(pickle.dumps(one)) == one


def test_vehicles_are_what_drives() -> None:
    assert VEHICLE_CLASSES.issubset(OBJECT_CLASSES)
    assert {"bicycle", "motorcycle", "trailer"} < VEHICLE_CLASSES
    assert not {"pedestrian", "barrier", "traffic_cone"} & VEHICLE_CLASSES


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": (4.0, 0.0, 1.5)}, r"object 17 \(car\).*positive"),
        ({"size": (4.0, 2.0)}, "length, width, height"),
        ({"velocity": (1.0, 2.0)}, "velocity"),
        ({"label": "tricycle"}, "tricycle.*expected one of car"),
    ],
)
def test_what_is_no_box_is_refused(changes: dict, message: str) -> None:
    values = {"label": "car", "object_id": 17, "pose": RigidTransform.identity(), "size": (4, 2, 1)}
    with pytest.raises(BevError, match=message):
        ObjectBox(**{**values, **changes})
