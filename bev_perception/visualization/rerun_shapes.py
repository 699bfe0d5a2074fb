# SPDX-License-Identifier: Apache-2.0
"""Geometry's types as Rerun's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import rerun as rr
from numpy.typing import NDArray

from bev_perception.geometry import ObjectBox, PinholeCamera, RigidTransform

_FRUSTUM_M = 1.5


def transform_entity(parent_T_child: RigidTransform) -> rr.Transform3D:
    """Takes points of the entity to its parent."""
    return rr.Transform3D(translation=parent_T_child.translation, mat3x3=parent_T_child.rotation)


def pinhole_entity(camera: PinholeCamera) -> rr.Pinhole:
    """An ideal camera; pixels count from the image's corner instead of a pixel's centre."""
    matrix = camera.matrix.copy()
    matrix[:2, 2] += 0.5
    return rr.Pinhole(
        image_from_camera=matrix,
        resolution=(camera.width, camera.height),
        camera_xyz=rr.ViewCoordinates.RDF,
        image_plane_distance=_FRUSTUM_M,
    )


def boxes_entity(
    boxes: Sequence[ObjectBox], color: tuple[int, int, int], with_labels: bool
) -> rr.Boxes3D:
    """Objects in one colour."""
    return rr.Boxes3D(
        half_sizes=rows([box.size / 2.0 for box in boxes], 3),
        centers=rows([box.center for box in boxes], 3),
        quaternions=rows([box.pose.quaternion for box in boxes], 4),
        colors=[color] * len(boxes),
        radii=rr.Radius.ui_points(1.0),
        labels=[_label(box) for box in boxes],
        show_labels=with_labels,
    )


def _label(box: ObjectBox) -> str:
    score = "" if box.score == 1.0 else f" {box.score:.2f}"
    return f"{box.label} {box.object_id}{score}"


def rows(
    values: Sequence[NDArray[np.floating]] | NDArray[np.floating], width: int
) -> NDArray[np.float64]:
    """(N, width) also where N is 0."""
    return np.asarray(values, dtype=np.float64).reshape(-1, width)
