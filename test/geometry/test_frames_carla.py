# SPDX-License-Identifier: Apache-2.0
"""Conversions against the value types of the real carla package, which need no server."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bev_perception.geometry.frames import (
    CarlaBox,
    box_from_carla,
    box_to_carla,
    points_from_carla,
    pose_from_carla,
    pose_from_carla_matrix,
    pose_to_carla,
)

carla = pytest.importorskip("carla", reason="the carla wheel (extra 'carla') is not installed")

repeatable = settings(derandomize=True, deadline=None, max_examples=50)
metres = st.floats(-100.0, 100.0, width=32)
vectors = st.tuples(metres, metres, metres)
rotations = st.tuples(*[st.floats(-85.0, 85.0, width=32)] * 3)
SINGLE_PRECISION = 2e-4


def carla_transform(
    location: tuple[float, float, float], angles_deg: tuple[float, float, float]
) -> carla.Transform:
    roll, pitch, yaw = angles_deg
    return carla.Transform(
        carla.Location(*location), carla.Rotation(pitch=pitch, yaw=yaw, roll=roll)
    )


def values(vector: carla.Vector3D) -> list[float]:
    return [vector.x, vector.y, vector.z]


@repeatable
@given(vectors, rotations, vectors)
def test_poses_move_points_as_carla_transforms_do(
    location: tuple[float, float, float],
    angles_deg: tuple[float, float, float],
    point: tuple[float, float, float],
) -> None:
    transform = carla_transform(location, angles_deg)
    pose = pose_from_carla(location, *angles_deg)
    moved = carla.Location(*point)
    transform.transform(moved)  # in place
    found = pose.apply(points_from_carla(point))
    np.testing.assert_allclose(found, points_from_carla(values(moved)), atol=SINGLE_PRECISION)
    from_matrix = pose_from_carla_matrix(transform.get_matrix())
    assert from_matrix.is_close(pose, SINGLE_PRECISION, 1e-5)
    forward = points_from_carla(values(transform.get_forward_vector()))
    np.testing.assert_allclose(pose.rotation[:, 0], forward, atol=1e-5)
    right = points_from_carla(values(transform.get_right_vector()))
    np.testing.assert_allclose(pose.rotation[:, 1], -right, atol=1e-5)


@repeatable
@given(vectors, rotations)
def test_carla_reads_back_the_pose_that_it_is_given(
    location: tuple[float, float, float], angles_deg: tuple[float, float, float]
) -> None:
    pose = pose_from_carla(location, *angles_deg)
    back = carla_transform(*pose_to_carla(pose))
    assert pose_from_carla_matrix(back.get_matrix()).is_close(pose, SINGLE_PRECISION, 1e-5)


@repeatable
@given(vectors, rotations, vectors, rotations)
def test_corners_are_the_world_vertices_of_carlas_bounding_box(
    actor_location: tuple[float, float, float],
    actor_angles_deg: tuple[float, float, float],
    location: tuple[float, float, float],
    angles_deg: tuple[float, float, float],
) -> None:
    extent = (2.4, 1.0, 0.7)
    bounding_box = carla.BoundingBox(carla.Location(*location), carla.Vector3D(*extent))
    roll, pitch, yaw = angles_deg
    bounding_box.rotation = carla.Rotation(pitch=pitch, yaw=yaw, roll=roll)
    vertices = bounding_box.get_world_vertices(carla_transform(actor_location, actor_angles_deg))
    expected = points_from_carla([values(vertex) for vertex in vertices])

    plain = CarlaBox(location, *angles_deg, extent, (0.0, 0.0, 0.0))
    box = box_from_carla("car", 1, plain, pose_from_carla(actor_location, *actor_angles_deg))
    distances = np.linalg.norm(box.corners[:, None] - expected[None], axis=-1)
    assert distances.min(axis=1).max() < SINGLE_PRECISION
    assert sorted(distances.argmin(axis=1)) == list(range(8))


def test_a_box_given_back_to_carla_contains_the_same_points() -> None:
    plain = CarlaBox((10.0, 4.0, 1.0), 0.0, 5.0, 40.0, (2.4, 1.0, 0.7), (0.0, 0.0, 0.0))
    box = box_from_carla("car", 1, plain)
    back = box_to_carla(box)
    bounding_box = carla.BoundingBox(carla.Location(), carla.Vector3D(*map(float, back.extent)))
    transform = carla_transform(
        tuple(map(float, back.location)), (back.roll_deg, back.pitch_deg, back.yaw_deg)
    )
    points = np.random.default_rng(3).uniform(-2, 2, (300, 3)) + box.center
    expected = [
        bounding_box.contains(carla.Location(x, -y, z), transform) for x, y, z in points.tolist()
    ]
    assert 20 < sum(expected) < 280
    assert box.contains(points).tolist() == expected
