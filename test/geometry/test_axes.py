# SPDX-License-Identifier: Apache-2.0
"""Changing axes agrees with the conversions of frames.py, and mirrors where it must."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from bev_perception.errors import TransformError
from bev_perception.geometry import (
    BODY_T_OPTICAL,
    PinholeCamera,
    RigidTransform,
    points_from_carla,
    pose_from_carla,
    pose_from_carla_matrix,
    pose_to_carla_matrix,
)
from bev_perception.geometry.axes import BODY_R_AXES, change_axes, invert_rigid


def some_poses(count: int = 50) -> list[RigidTransform]:
    random = np.random.default_rng(4)
    rotations = Rotation.random(count, random_state=4).as_matrix()
    return [RigidTransform(each, random.uniform(-50, 50, 3)) for each in rotations]


def test_carla_on_both_sides_is_the_conversion_of_frames() -> None:
    for pose in some_poses():
        told = change_axes(pose_to_carla_matrix(pose), ("carla", "body"), ("carla", "body"))
        np.testing.assert_allclose(told, pose.matrix, atol=1e-12)
        assert pose_from_carla_matrix(pose_to_carla_matrix(pose)).is_close(pose)


def test_a_camera_with_body_axes_gets_optical_ones() -> None:
    for base_T_body in some_poses():
        told = change_axes(base_T_body.matrix, ("body", "body"), ("body", "optical"))
        np.testing.assert_allclose(told, (base_T_body @ BODY_T_OPTICAL).matrix, atol=1e-12)


@pytest.mark.parametrize("parent", BODY_R_AXES)
@pytest.mark.parametrize("child", BODY_R_AXES)
def test_there_and_back_and_handedness(parent: str, child: str) -> None:
    matrices = np.stack([pose.matrix for pose in some_poses()])
    told = change_axes(matrices, ("body", parent), ("body", child))
    back = change_axes(told, (parent, "body"), (child, "body"))
    np.testing.assert_allclose(back, matrices, atol=1e-12)
    is_mirrored = (parent == "carla") != (child == "carla")
    determinants = np.linalg.det(told[:, :3, :3])
    np.testing.assert_allclose(determinants, -1.0 if is_mirrored else 1.0)
    np.testing.assert_allclose(invert_rigid(told) @ told, np.tile(np.eye(4), (50, 1, 1)), atol=1e-9)


def test_unknown_axes_and_shapes_are_refused() -> None:
    with pytest.raises(TransformError, match="known axes: body, optical, carla"):
        change_axes(np.eye(4), ("unreal", "body"), ("body", "body"))
    with pytest.raises(TransformError, match=r"shape \(3, 3\)"):
        change_axes(np.eye(3), ("body", "body"), ("body", "body"))


def test_the_worked_example_of_the_carla_page() -> None:
    vehicle = pose_from_carla((10.0, 5.0, 0.0), 0.0, 0.0, 30.0)
    np.testing.assert_allclose(vehicle.translation, (10.0, -5.0, 0.0))
    np.testing.assert_allclose(np.degrees(vehicle.euler), (0.0, 0.0, -30.0), atol=1e-9)
    camera = pose_from_carla((1.5, 0.5, 1.6), 0.0, -5.0, 90.0)
    np.testing.assert_allclose(camera.translation, (1.5, -0.5, 1.6))
    np.testing.assert_allclose(np.degrees(camera.euler), (0.0, 5.0, -90.0), atol=1e-9)
    told_by_carla = [[0, -1, 0], [0.996, 0, 0.087], [-0.087, 0, 0.996]]
    np.testing.assert_allclose(pose_to_carla_matrix(camera)[:3, :3], told_by_carla, atol=5e-4)
    base_T_optical = camera @ BODY_T_OPTICAL
    told_by_ros = [[-1, 0, 0], [0, 0.087, -0.996], [0, -0.996, -0.087]]
    np.testing.assert_allclose(base_T_optical.rotation, told_by_ros, atol=5e-4)
    point = base_T_optical.inverse().apply(points_from_carla((1.5, 10.5, 0.9)))
    np.testing.assert_allclose(point, (0.0, -0.174, 10.023), atol=5e-4)
    pixel, _ = PinholeCamera.from_field_of_view(672, 448, 100.0).project(point)
    np.testing.assert_allclose(pixel, (335.5, 218.6), atol=0.05)
