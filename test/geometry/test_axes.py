# SPDX-License-Identifier: Apache-2.0
"""Changing axes agrees with the conversions of frames.py, and mirrors where it must."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from bev_perception.errors import TransformError
from bev_perception.geometry import (
    BODY_T_OPTICAL,
    RigidTransform,
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
