# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms against scipy and pytransform3d."""

from __future__ import annotations

import numpy as np
import pytest
import pytransform3d.rotations as pr
import pytransform3d.transformations as pt
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from bev_perception.errors import TransformError
from bev_perception.geometry import RigidTransform

repeatable = settings(derandomize=True, deadline=None, max_examples=50)
metres = st.floats(-500.0, 500.0)
vectors = st.tuples(metres, metres, metres).map(np.array)
quaternions = (
    st.tuples(*[st.floats(-1.0, 1.0)] * 4)
    .map(np.array)
    .filter(lambda q: np.linalg.norm(q) > 0.1)
    .map(lambda q: q / np.linalg.norm(q))
)
transforms = st.builds(RigidTransform.from_quaternion, quaternions, vectors)


@repeatable
@given(transforms, transforms, vectors)
def test_chain_and_inverse_agree_with_pytransform3d(
    a_T_b: RigidTransform, b_T_c: RigidTransform, p_c: np.ndarray
) -> None:
    chain = a_T_b @ b_T_c
    np.testing.assert_allclose(chain.matrix, pt.concat(b_T_c.matrix, a_T_b.matrix), atol=1e-9)
    np.testing.assert_allclose(a_T_b.inverse().matrix, pt.invert_transform(a_T_b.matrix), atol=1e-9)
    expected = pt.transform(chain.matrix, pt.vector_to_point(p_c))[:3]
    np.testing.assert_allclose(a_T_b.apply(b_T_c.apply(p_c)), expected, atol=1e-9)
    np.testing.assert_allclose(chain.inverse().apply(chain.apply(p_c)), p_c, atol=1e-9)
    np.testing.assert_allclose(
        chain.rotate(p_c), chain.apply(p_c) - chain.apply(np.zeros(3)), atol=1e-9
    )


@repeatable
@given(quaternions)
def test_quaternion_is_in_ros_order(quaternion: np.ndarray) -> None:
    transform = RigidTransform.from_quaternion(quaternion)
    x, y, z, w = quaternion
    expected = pr.matrix_from_quaternion([w, x, y, z])
    np.testing.assert_allclose(transform.rotation, expected, atol=1e-12)
    assert abs(transform.quaternion @ quaternion) == pytest.approx(1.0)
    assert transform.quaternion[3] >= 0


@repeatable
@given(*[st.floats(-np.pi, np.pi)] * 3)
def test_euler_angles_are_fixed_axis_roll_pitch_yaw(roll: float, pitch: float, yaw: float) -> None:
    transform = RigidTransform.from_euler(roll, pitch, yaw)
    expected = pr.active_matrix_from_extrinsic_roll_pitch_yaw([roll, pitch, yaw])
    np.testing.assert_allclose(transform.rotation, expected, atol=1e-12)
    again = RigidTransform.from_euler(*transform.euler)
    np.testing.assert_allclose(again.rotation, transform.rotation, atol=1e-12)


@pytest.mark.parametrize("pitch", [np.pi / 2, -np.pi / 2])
def test_euler_angles_straight_up_and_down_still_give_the_rotation_back(pitch: float) -> None:
    transform = RigidTransform.from_euler(0.4, pitch, -1.1)
    again = RigidTransform.from_euler(*transform.euler)
    np.testing.assert_allclose(again.rotation, transform.rotation, atol=1e-12)


def test_positive_pitch_looks_down_and_positive_yaw_looks_left() -> None:
    forward = np.array([1.0, 0.0, 0.0])
    down = RigidTransform.from_euler(pitch=np.radians(30)).apply(forward)
    left = RigidTransform.from_euler(yaw=np.radians(90)).apply(forward)
    np.testing.assert_allclose(down, [np.cos(np.pi / 6), 0.0, -0.5], atol=1e-12)
    np.testing.assert_allclose(left, [0.0, 1.0, 0.0], atol=1e-12)


@repeatable
@given(transforms, transforms, st.floats(0.0, 1.0))
def test_interpolation_is_slerp(start: RigidTransform, end: RigidTransform, share: float) -> None:
    if start.angle_to(end) > 3.1:
        return  # half a turn: both ways round are as short
    between = start.interpolate(end, share)
    slerp = Slerp([0, 1], Rotation.from_matrix([start.rotation, end.rotation]))
    np.testing.assert_allclose(between.rotation, slerp(share).as_matrix(), atol=1e-9)
    expected = start.translation + share * (end.translation - start.translation)
    np.testing.assert_allclose(between.translation, expected, atol=1e-9)


@repeatable
@given(transforms)
def test_long_chains_of_single_precision_matrices_stay_rigid(transform: RigidTransform) -> None:
    rounded = RigidTransform.from_matrix(transform.matrix.astype(np.float32))
    chain = RigidTransform.identity()
    for _ in range(300):
        chain = chain @ rounded
    deviation = np.abs(chain.rotation @ chain.rotation.T - np.eye(3)).max()
    assert deviation < 1e-11
    assert rounded.angle_to(transform) < 1e-6


@pytest.mark.parametrize(
    ("rotation", "message"),
    [
        (np.diag([1.0, -1.0, 1.0]), "mirrored"),
        (1.01 * np.eye(3), "not a rotation"),
        (np.full((3, 3), np.nan), "not finite"),
        (np.eye(4), "shapes"),
    ],
)
def test_what_is_no_rotation_is_refused(rotation: np.ndarray, message: str) -> None:
    with pytest.raises(TransformError, match=message):
        RigidTransform(rotation, np.zeros(3))


def test_a_quaternion_that_was_never_filled_is_refused() -> None:
    with pytest.raises(TransformError, match="never filled"):
        RigidTransform.from_quaternion((0, 0, 0, 0))


def test_equal_values_are_equal_and_hash_alike() -> None:
    one, same = (RigidTransform.from_euler(yaw=0.3, translation=(1, 2, 3)) for _ in range(2))
    assert one == same
    assert hash(one) == hash(same)
    assert one != RigidTransform.identity()


@pytest.mark.parametrize("column", range(4))
@pytest.mark.parametrize("change", [1e-9, 9e-9, 2e-8, 1e-6, 9e-6, 2e-5, -2e-5, np.nan, np.inf])
def test_the_last_row_of_a_matrix_is_judged_as_numpy_judges_it(column, change):
    matrix = np.eye(4)
    matrix[3, column] += change
    if np.allclose(matrix[3], (0, 0, 0, 1)):
        assert RigidTransform.from_matrix(matrix) == RigidTransform.identity()
    else:
        with pytest.raises(TransformError, match="not a homogeneous 4x4 matrix"):
            RigidTransform.from_matrix(matrix)
