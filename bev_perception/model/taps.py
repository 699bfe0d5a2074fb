# SPDX-License-Identifier: Apache-2.0
"""The lift's table: which feature cells make up each voxel, and with what weight.

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
from scipy import sparse
from torch import Tensor

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import Rig, RigCamera
from bev_perception.model.config import SegnetConfig


@dataclass(frozen=True)
class GatherTable:
    """A sparse matrix in compressed rows: output row r sums weights * input[indices].

    Attributes:
        indices: (taps,) int32 input rows.
        offsets: (rows + 1,) int32; row r owns the taps offsets[r] to offsets[r + 1].
        weights: (taps,) float32.
    """

    indices: Tensor
    offsets: Tensor
    weights: Tensor

    def to(self, device: torch.device | str, non_blocking: bool = False) -> GatherTable:
        """The table on another device."""
        return GatherTable(
            self.indices.to(device, non_blocking=non_blocking),
            self.offsets.to(device, non_blocking=non_blocking),
            self.weights.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> GatherTable:
        """The table in page-locked memory."""
        return GatherTable(
            self.indices.pin_memory(), self.offsets.pin_memory(), self.weights.pin_memory()
        )

    def transposed(self, num_inputs: int) -> GatherTable:
        """The table of the transposed matrix, which turns output gradients into input ones."""
        shape = (len(self.offsets) - 1, num_inputs)
        arrays = (self.weights.numpy(), self.indices.numpy(), self.offsets.numpy())
        columns = sparse.csr_array(arrays, shape=shape).tocsc()
        return GatherTable(
            torch.from_numpy(columns.indices.astype(np.int32, copy=False)),
            torch.from_numpy(columns.indptr.astype(np.int32, copy=False)),
            torch.from_numpy(columns.data),
        )

    @classmethod
    def stacked(cls, tables: Sequence[GatherTable], num_inputs: int) -> GatherTable:
        """Block-diagonal: table i reads input rows from i * num_inputs on."""
        indices, offsets, taps = [], [tables[0].offsets[:1]], 0
        for position, table in enumerate(tables):
            indices.append(table.indices + position * num_inputs)
            offsets.append(table.offsets[1:] + taps)
            taps += len(table.indices)
        weights = torch.cat([table.weights for table in tables])
        return cls(torch.cat(indices), torch.cat(offsets), weights)


@dataclass(frozen=True)
class TapTable:
    """The lift of one rig, or of a batch of rigs.

    Output rows are voxels in the order (B, Y, X, Z); input rows are feature cells in the order
    (B, camera, row, column).

    Attributes:
        forward: features to voxels.
        backward: voxel gradients to feature gradients, or None in a table for inference.
        batch_size: number of rigs.
        num_cameras: cameras per rig, missing ones included.
        feature_shape: (rows, columns) of one camera's feature map.
        voxel_shape: (Y, X, Z).
        seen: bool, (Y, X) of one rig, (B, Y, X) of a batch: whether a present camera sees some
            voxel of the column.
    """

    forward: GatherTable
    backward: GatherTable | None
    batch_size: int
    num_cameras: int
    feature_shape: tuple[int, int]
    voxel_shape: tuple[int, int, int]
    seen: NDArray[np.bool_]

    @property
    def num_cells(self) -> int:
        """Feature cells of one rig: cameras * rows * columns."""
        return self.num_cameras * self.feature_shape[0] * self.feature_shape[1]

    def with_backward(self) -> TapTable:
        """A table that can also be differentiated through; itself when it already can."""
        if self.backward is not None:
            return self
        backward = self.forward.transposed(self.batch_size * self.num_cells)
        return self._replaced(self.forward, backward)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> TapTable:
        """The table on another device."""
        backward = None if self.backward is None else self.backward.to(device, non_blocking)
        return self._replaced(self.forward.to(device, non_blocking), backward)

    def pin_memory(self) -> TapTable:
        """The table in page-locked memory, for torch's DataLoader."""
        backward = None if self.backward is None else self.backward.pin_memory()
        return self._replaced(self.forward.pin_memory(), backward)

    @staticmethod
    def batch(tables: Sequence[TapTable]) -> TapTable:
        """One table for a batch of single rigs.

        Raises:
            ConfigurationError: the tables differ in cameras, features or voxels.
        """
        first = tables[0]
        layout = (1, first.num_cameras, first.feature_shape, first.voxel_shape)
        for table in tables:
            other = (table.batch_size, table.num_cameras, table.feature_shape, table.voxel_shape)
            if other != layout:
                raise ConfigurationError(
                    "tap tables of one batch must agree in (batch, cameras, feature shape, "
                    f"voxel shape): {layout} and {other}"
                )
        rows, columns, heights = first.voxel_shape
        backwards = [table.backward for table in tables if table.backward is not None]
        backward = None
        if len(backwards) == len(tables):
            backward = GatherTable.stacked(backwards, rows * columns * heights)
        return TapTable(
            GatherTable.stacked([table.forward for table in tables], first.num_cells),
            backward,
            len(tables),
            first.num_cameras,
            first.feature_shape,
            first.voxel_shape,
            np.stack([table.seen for table in tables]),
        )

    def _replaced(self, forward: GatherTable, backward: GatherTable | None) -> TapTable:
        return TapTable(
            forward,
            backward,
            self.batch_size,
            self.num_cameras,
            self.feature_shape,
            self.voxel_shape,
            self.seen,
        )


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
    views = [
        _camera_taps(rig[name], position, points, config)
        for position, name in enumerate(rig.names)
        if flags[position]
    ]
    table, count = _merge(views, len(points))
    rows, columns = config.grid.shape
    voxel_shape = (rows, columns, len(config.heights_m))
    result = TapTable(
        table,
        None,
        1,
        len(rig),
        config.feature_shape,
        voxel_shape,
        (count > 0).reshape(voxel_shape).any(axis=2),
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


def _merge(views: Sequence[_CameraTaps], num_voxels: int) -> tuple[GatherTable, NDArray[np.int32]]:
    """Interleaves the cameras' taps by voxel; also the number of seeing cameras per voxel."""
    count = np.zeros(num_voxels, dtype=np.int32)
    for view in views:
        count[view.voxels] += 1
    offsets = np.zeros(num_voxels + 1, dtype=np.int32)
    np.cumsum(count, out=offsets[1:])
    cells = np.empty((offsets[-1], 4), dtype=np.int32)
    weights = np.empty((offsets[-1], 4), dtype=np.float32)
    slot = offsets[:-1].copy()
    share = 1.0 / np.maximum(count, 1).astype(np.float32)
    for view in views:
        slots = slot[view.voxels]
        cells[slots] = view.cells
        weights[slots] = view.weights * share[view.voxels, None]
        slot[view.voxels] += 1
    table = GatherTable(
        torch.from_numpy(cells.reshape(-1)),
        torch.from_numpy(offsets * 4),
        torch.from_numpy(weights.reshape(-1)),
    )
    return table, count
