# SPDX-License-Identifier: Apache-2.0
"""Poses that others store in other axes, as matrices, to this project's axes and back.

A matrix alone does not say which axes its two frames have. Named here, each axis convention is
one constant matrix, and a pose changes axes by one of them on either side. Handedness shows in
the determinant: between a left-handed and a right-handed frame it is -1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.errors import TransformError
from bev_perception.geometry.frames import BODY_T_OPTICAL

BODY_R_AXES: dict[str, NDArray[np.float64]] = {
    "body": np.eye(3),
    "optical": BODY_T_OPTICAL.rotation,
    "carla": np.diag([1.0, -1.0, 1.0]),
}
"""Takes directions of each convention to body axes (x forward, y left, z up).

- ``body``: x forward, y left, z up (REP-103, nuScenes' ego), right-handed;
- ``optical``: x right, y down, z forward, right-handed;
- ``carla``: x forward, y right, z up, left-handed (CARLA, Unreal).
"""


def change_axes(
    parent_T_child: ArrayLike, parent: tuple[str, str], child: tuple[str, str]
) -> NDArray[np.float64]:
    """The same pose between the same two origins, told in other axes.

    Args:
        parent_T_child: (..., 4, 4) homogeneous matrices.
        parent, child: (axes in which it is told, axes wanted), keys of BODY_R_AXES.

    Returns:
        (..., 4, 4) float64. Rotations of determinant -1 where the stated axes are not those
        of the data; RigidTransform refuses these.

    Raises:
        TransformError: not (..., 4, 4), or an unknown convention.
    """
    values = np.asarray(parent_T_child, dtype=np.float64)
    unknown = {*parent, *child} - set(BODY_R_AXES)
    if values.shape[-2:] != (4, 4) or unknown:
        raise TransformError(
            f"cannot change the axes of a matrix of shape {values.shape} from {parent[0]} and "
            f"{child[0]} to {parent[1]} and {child[1]}; known axes: {', '.join(BODY_R_AXES)}"
        )
    before, after = np.eye(4), np.eye(4)
    before[:3, :3] = BODY_R_AXES[parent[1]].T @ BODY_R_AXES[parent[0]]
    after[:3, :3] = BODY_R_AXES[child[0]].T @ BODY_R_AXES[child[1]]
    return np.asarray(before @ values @ after)


def invert_rigid(a_T_b: ArrayLike) -> NDArray[np.float64]:
    """(..., 4, 4) inverses ``b_T_a`` of rigid motions, mirrored ones included."""
    values = np.asarray(a_T_b, dtype=np.float64)
    inverse = np.zeros_like(values)
    transposed = np.swapaxes(values[..., :3, :3], -1, -2)
    inverse[..., :3, :3] = transposed
    inverse[..., :3, 3] = -(transposed @ values[..., :3, 3, None])[..., 0]
    inverse[..., 3, 3] = 1.0
    return inverse
