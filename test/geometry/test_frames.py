# SPDX-License-Identifier: Apache-2.0
"""Axis conventions: poses worked out by hand, and levelling with gravity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bev_perception.errors import BevError, TransformError
from bev_perception.geometry import ObjectBox, RigidTransform
from bev_perception.geometry.frames import (
    BODY_T_OPTICAL,
    OPTICAL_T_BODY,
    CarlaBox,
    box_from_carla,
    box_to_carla,
    levelled,
    points_from_carla,
    points_to_carla,
    pose_from_carla,
    pose_from_carla_matrix,
    pose_to_carla,
    pose_to_carla_matrix,
)

repeatable = settings(derandomize=True, deadline=None, max_examples=50)
metres = st.floats(-300.0, 300.0)
vectors = st.tuples(metres, metres, metres)
rotations = st.tuples(st.floats(-179.0, 179.0), st.floats(-89.0, 89.0), st.floats(-179.0, 179.0))

FORWARD, LEFT, UP = np.eye(3)


def test_optical_axes_are_right_down_and_forward() -> None:
    np.testing.assert_array_equal(BODY_T_OPTICAL.rotate(np.eye(3)), [-LEFT, -UP, FORWARD])
    assert (OPTICAL_T_BODY @ BODY_T_OPTICAL).is_close(RigidTransform.identity())


def test_carla_points_have_their_right_turned_to_left() -> None:
    np.testing.assert_array_equal(points_from_carla([[1.0, 2.0, 3.0]]), [[1.0, -2.0, 3.0]])
    np.testing.assert_array_equal(points_to_carla([1.0, -2.0, 3.0]), [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("angles_deg", "axis", "expected"),
    [
        # CARLA: positive yaw turns to the right
        ((0, 0, 90), FORWARD, -LEFT),
        ((0, 0, 30), FORWARD, [np.cos(np.pi / 6), -0.5, 0.0]),
        # positive pitch looks up
        ((0, 30, 0), FORWARD, [np.cos(np.pi / 6), 0.0, 0.5]),
        # positive roll lowers the right side
        ((30, 0, 0), -LEFT, [0.0, -np.cos(np.pi / 6), -0.5]),
        # all together: nose up 45 degrees in the car's plane, then turned right by 90
        ((0, 45, 90), FORWARD, [0.0, -np.sqrt(0.5), np.sqrt(0.5)]),
    ],
)
def test_carla_angles_turn_the_way_carla_turns(
    angles_deg: tuple[float, float, float], axis: np.ndarray, expected: np.ndarray
) -> None:
    pose = pose_from_carla((0, 0, 0), *angles_deg)
    np.testing.assert_allclose(pose.apply(axis), expected, atol=1e-12)


@repeatable
@given(vectors, rotations)
def test_poses_survive_the_way_to_carla_and_back(
    location: tuple[float, float, float], angles_deg: tuple[float, float, float]
) -> None:
    pose = pose_from_carla(location, *angles_deg)
    back_location, back_angles = pose_to_carla(pose)
    np.testing.assert_allclose(back_location, location, atol=1e-9)
    np.testing.assert_allclose(back_angles, angles_deg, atol=1e-6)
    matrix = pose_to_carla_matrix(pose)
    assert pose_from_carla_matrix(matrix).is_close(pose, 1e-9, 1e-7)


@repeatable
@given(vectors, rotations, vectors)
def test_mirroring_commutes_with_applying_a_pose(
    location: tuple[float, float, float],
    angles_deg: tuple[float, float, float],
    point: tuple[float, float, float],
) -> None:
    pose = pose_from_carla(location, *angles_deg)
    in_carla = pose_to_carla_matrix(pose) @ [*point, 1.0]
    expected = pose.apply(points_from_carla(point))
    np.testing.assert_allclose(points_from_carla(in_carla[:3]), expected, atol=1e-9)


def test_a_carla_matrix_with_scale_is_refused() -> None:
    with pytest.raises(TransformError, match="not a rotation"):
        pose_from_carla_matrix(np.diag([2.0, 2.0, 2.0, 1.0]))


def test_a_carla_car_ahead_on_the_right_that_drives_away() -> None:
    car = CarlaBox((20, 3, 0.8), 0.0, 0.0, 0.0, (2.3, 0.9, 0.75), (8.0, 0.5, 0.0))
    box = box_from_carla("car", 7, car)
    np.testing.assert_allclose(box.center, [20.0, -3.0, 0.8])
    np.testing.assert_allclose(box.size, [4.6, 1.8, 1.5])
    np.testing.assert_allclose(box.velocity, [8.0, -0.5, 0.0])
    assert box.object_id == 7


def test_a_box_relative_to_its_actor_moves_with_the_actor() -> None:
    # The actor stands at (10, 5) and looks right; its box centre is 1 m ahead of its origin.
    world_T_actor = pose_from_carla((10, 5, 0), 0, 0, 90)
    relative = CarlaBox((1, 0, 0.7), 0.0, 0.0, 0.0, (2.0, 1.0, 0.7), (0.0, 3.0, 0.0))
    box = box_from_carla("car", 1, relative, world_T_actor)
    np.testing.assert_allclose(box.center, [10.0, -6.0, 0.7], atol=1e-12)
    assert box.pose.yaw == pytest.approx(-np.pi / 2)
    np.testing.assert_allclose(box.velocity, [0.0, -3.0, 0.0])


@repeatable
@given(vectors, rotations, vectors, rotations, st.booleans())
def test_boxes_survive_the_way_to_carla_and_back(
    location: tuple[float, float, float],
    angles_deg: tuple[float, float, float],
    actor_location: tuple[float, float, float],
    actor_angles_deg: tuple[float, float, float],
    relative: bool,
) -> None:
    actor = pose_from_carla(actor_location, *actor_angles_deg) if relative else None
    carla_box = CarlaBox(location, *angles_deg, (2.0, 1.0, 0.5), (1.0, -2.0, 0.1))
    box = box_from_carla("van", 3, carla_box, actor, visibility=0.5)
    again = box_to_carla(box, actor)
    np.testing.assert_allclose(again.location, location, atol=1e-6)
    found = pose_from_carla(again.location, again.roll_deg, again.pitch_deg, again.yaw_deg)
    assert found.is_close(pose_from_carla(location, *angles_deg), 1e-6, 1e-6)
    np.testing.assert_allclose(again.extent, carla_box.extent)
    np.testing.assert_allclose(again.velocity, carla_box.velocity)
    assert box.visibility == 0.5


def test_a_carla_box_without_size_is_refused() -> None:
    empty = CarlaBox((0, 0, 0), 0.0, 0.0, 0.0, (1.0, 0.0, 0.5), (0, 0, 0))
    with pytest.raises(BevError, match=r"object 9 \(bicycle\).*positive"):
        box_from_carla("bicycle", 9, empty)


def test_on_flat_ground_levelling_changes_nothing() -> None:
    pose = RigidTransform.from_euler(yaw=2.1, translation=(50.0, -20.0, 3.0))
    assert levelled(pose).is_close(RigidTransform.identity())


@repeatable
@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5), st.floats(-3.1, 3.1))
def test_levelling_takes_gravity_straight_down_and_keeps_origin_and_heading(
    roll: float, pitch: float, yaw: float
) -> None:
    world_T_base = RigidTransform.from_euler(roll, pitch, yaw, (5.0, 6.0, 7.0))
    level_T_base = levelled(world_T_base)
    gravity_in_base = world_T_base.inverse().rotate([0.0, 0.0, -1.0])
    np.testing.assert_allclose(level_T_base.rotate(gravity_in_base), [0, 0, -1], atol=1e-12)
    np.testing.assert_array_equal(level_T_base.apply(np.zeros(3)), np.zeros(3))
    assert level_T_base.yaw == pytest.approx(0.0, abs=1e-12)
    assert (world_T_base @ level_T_base.inverse()).yaw == pytest.approx(yaw)


def test_a_wall_stays_upright_on_a_slope() -> None:
    # Uphill by 10 degrees: the top of a vertical pole seems to lean back in base_link.
    world_T_base = RigidTransform.from_euler(pitch=-np.radians(10.0))
    pole = world_T_base.inverse().apply([[20.0, 0.0, 0.0], [20.0, 0.0, 5.0]])
    assert abs(pole[1, 0] - pole[0, 0]) > 0.8
    upright = levelled(world_T_base).apply(pole)
    np.testing.assert_allclose(upright, [[20.0, 0.0, 0.0], [20.0, 0.0, 5.0]], atol=1e-12)


def test_a_box_moved_to_another_frame_takes_its_velocity_with_it() -> None:
    pose = RigidTransform.from_euler(translation=(3.0, 0.0, 0.0))
    box = ObjectBox("car", 1, pose, (4.0, 2.0, 1.5), (1.0, 0.0, 0.0))
    moved = box.transformed(RigidTransform.from_euler(yaw=np.pi / 2, translation=(0.0, 0.0, 9.0)))
    np.testing.assert_allclose(moved.center, [0.0, 3.0, 9.0], atol=1e-12)
    np.testing.assert_allclose(moved.velocity, [0.0, 1.0, 0.0], atol=1e-12)
