# SPDX-License-Identifier: Apache-2.0
"""Builds the lift's table from a rig: projection, visibility and bilinear weights.

A voxel centre is projected into every camera (lens distortion included). A camera *sees* it
when it lies in front and its pixel lies inside the image, half a pixel of border included.
Each seeing camera contributes four bilinear taps into its feature map; their weights are
divided by the number of cameras that see the voxel, so that applying the table gives the
mean over them. Visibility is geometry alone: feature values and learning cannot change it.

Feature cell j of stride s is centred on image pixel (j + 0.5) * s - 0.5, which is bilinear
sampling with ``align_corners=False``. Between the image's edge and the centre of the
outermost feature cell that cell's value continues (border replication).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import Rig, RigCamera
from bev_perception.model.config import SegnetConfig
from bev_perception.model.taps import GatherTable, TapTable

CHUNK = 32768
"""Voxels projected at a time, so that what is in between stays in the processor's cache."""


def build_tap_table(
    rig: Rig,
    config: SegnetConfig,
    present: Sequence[bool] | None = None,
    backward: bool = False,
) -> TapTable:
    """The lift's table of one rig.

    Args:
        rig: intrinsics of the prepared images, extrinsics to levelled base_link.
        config: image size, grid and heights.
        present: per camera in rig order, whether its image came; default all. Voxels are the
            mean over present cameras only.
        backward: also make the transposed table, which training needs. Without it
            it is made at the first differentiation, again for every table.

    Raises:
        ConfigurationError: a camera's image size is not the model's, or present has another
            length than the rig.
    """
    flags = _checked_present(rig, config, present)
    points = _voxel_centers(config)
    parts = []
    for part in np.array_split(points, -(-len(points) // CHUNK)):
        views = [
            _camera_taps(rig[name], position, part, config)
            for position, name in enumerate(rig.names)
            if flags[position]
        ]
        parts.append(_merge(views, len(part)))
    table, count = _joined(parts)
    rows, columns = config.grid.shape
    voxel_shape = (rows, columns, len(config.heights_m))
    result = TapTable(
        table,
        None,
        1,
        len(rig),
        config.feature_shape,
        voxel_shape,
        np.asarray((count > 0).reshape(voxel_shape).any(axis=2)),
    )
    return result.with_backward() if backward else result


def _checked_present(
    rig: Rig, config: SegnetConfig, present: Sequence[bool] | None
) -> tuple[bool, ...]:
    flags = (True,) * len(rig) if present is None else tuple(bool(flag) for flag in present)
    if len(flags) != len(rig):
        raise ConfigurationError(f"present has {len(flags)} entries, the rig {len(rig)} cameras")
    for name, entry in rig.cameras.items():
        size = (entry.camera.height, entry.camera.width)
        if size != config.image_size:
            raise ConfigurationError(
                f"camera {name} has images of {size[0]}x{size[1]} (height x width), the model "
                f"takes {config.image_size[0]}x{config.image_size[1]}; prepare the rig first"
            )
    return flags


def _voxel_centers(config: SegnetConfig) -> NDArray[np.float64]:
    """(Y * X * Z, 3) metres in levelled base_link, heights fastest."""
    rows, columns = config.grid.shape
    points = np.empty((rows, columns, len(config.heights_m), 3))
    points[..., :2] = config.grid.cell_centers[:, :, None]
    points[..., 2] = config.heights_m
    return points.reshape(-1, 3)


@dataclass(frozen=True)
class _CameraTaps:
    """voxels (n,) int; cells (n, 4) int32 input rows; weights (n, 4) float32 that sum to 1."""

    voxels: NDArray[np.intp]
    cells: NDArray[np.int32]
    weights: NDArray[np.float32]


def _camera_taps(
    camera: RigCamera, position: int, points: NDArray[np.float64], config: SegnetConfig
) -> _CameraTaps:
    # The camera's own projection rejects what lies behind it, too, but only after moving
    # all points to its frame; this halves the work.
    axis = camera.base_T_camera.rotation[:, 2]
    ahead = np.flatnonzero(points @ axis > axis @ camera.base_T_camera.translation)
    pixels, valid = camera.project(points[ahead])
    chosen = np.flatnonzero(valid & camera.camera.contains(pixels))
    voxels, pixels = ahead[chosen], pixels[chosen]
    rows, columns = config.feature_shape
    left, right_share = _bilinear(pixels[:, 0], config.feature_stride, columns)
    top, bottom_share = _bilinear(pixels[:, 1], config.feature_stride, rows)
    cells = np.empty((len(voxels), 4), dtype=np.int32)
    cells[:, 0] = (position * rows + top) * columns + left
    cells[:, 1] = cells[:, 0] + (columns > 1)
    cells[:, 2] = cells[:, 0] + columns * (rows > 1)
    cells[:, 3] = cells[:, 2] + (columns > 1)
    weights = np.empty((len(voxels), 4), dtype=np.float32)
    weights[:, 0] = (1 - bottom_share) * (1 - right_share)
    weights[:, 1] = (1 - bottom_share) * right_share
    weights[:, 2] = bottom_share * (1 - right_share)
    weights[:, 3] = bottom_share * right_share
    return _CameraTaps(voxels, cells, weights)


def _bilinear(
    pixels: NDArray[np.float64], stride: int, size: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """First of two neighbouring cells, and the share (n,) of the second one."""
    position = np.clip((pixels + 0.5) / stride - 0.5, 0.0, size - 1.0)
    first = np.minimum(position.astype(np.int32), max(size - 2, 0))
    return first, (position - first).astype(np.float32)


@dataclass(frozen=True)
class _VoxelTaps:
    """cells and weights (n, 4) ordered by voxel; count (voxels,) of seeing cameras."""

    cells: NDArray[np.int32]
    weights: NDArray[np.float32]
    count: NDArray[np.int32]


def _merge(views: Sequence[_CameraTaps], num_voxels: int) -> _VoxelTaps:
    """Interleaves the cameras' taps by voxel and divides them by the number of cameras."""
    count = np.zeros(num_voxels, dtype=np.int32)
    for view in views:
        count[view.voxels] += 1
    slot = np.cumsum(count, dtype=np.int32) - count
    total = int(count.sum())
    cells = np.empty((total, 4), dtype=np.int32)
    weights = np.empty((total, 4), dtype=np.float32)
    share = 1.0 / np.maximum(count, 1).astype(np.float32)
    for view in views:
        slots = slot[view.voxels]
        cells[slots] = view.cells
        weights[slots] = view.weights * share[view.voxels, None]
        slot[view.voxels] += 1
    return _VoxelTaps(cells, weights, count)


def _joined(parts: Sequence[_VoxelTaps]) -> tuple[GatherTable, NDArray[np.int32]]:
    """One table of consecutive parts, and the number of seeing cameras per voxel."""
    count = np.concatenate([part.count for part in parts])
    offsets = np.zeros(len(count) + 1, dtype=np.int32)
    np.cumsum(4 * count, out=offsets[1:])
    table = GatherTable(
        torch.from_numpy(np.concatenate([part.cells for part in parts]).reshape(-1)),
        torch.from_numpy(offsets),
        torch.from_numpy(np.concatenate([part.weights for part in parts]).reshape(-1)),
    )
    return table, count
