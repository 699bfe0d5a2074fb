# SPDX-License-Identifier: Apache-2.0
"""The lift's table: which feature cells make up each voxel, and with what weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from bev_perception.errors import ConfigurationError
from bev_perception.model.tensor_table import TensorTable


@dataclass(frozen=True)
class GatherTable(TensorTable):
    """A sparse matrix in compressed rows: output row r sums weights * input[indices].

    Attributes:
        indices: (taps,) int32 input rows.
        offsets: (rows + 1,) int32; row r owns the taps offsets[r] to offsets[r + 1].
        weights: (taps,) float32.
    """

    indices: Tensor
    offsets: Tensor
    weights: Tensor

    def rows(self, first: int, last: int) -> GatherTable:
        """The table of some of its output rows, those from first to before last."""
        begin, end = int(self.offsets[first]), int(self.offsets[last])
        offsets = self.offsets[first : last + 1] - begin
        return GatherTable(self.indices[begin:end], offsets, self.weights[begin:end])

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
class TapTable(TensorTable):
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
        rig_id: see LiftGeometry.
    """

    forward: GatherTable
    backward: GatherTable | None
    batch_size: int
    num_cameras: int
    feature_shape: tuple[int, int]
    voxel_shape: tuple[int, int, int]
    seen: NDArray[np.bool_]
    rig_id: str = ""

    @property
    def num_cells(self) -> int:
        """Feature cells of one rig: cameras * rows * columns."""
        return self.num_cameras * self.feature_shape[0] * self.feature_shape[1]

    def with_backward(self) -> TapTable:
        """A table that can also be differentiated through; itself when it already can."""
        if self.backward is not None:
            return self
        backward = self.forward.transposed(self.batch_size * self.num_cells)
        return replace(self, backward=backward)

    def without_backward(self) -> TapTable:
        """The table for inference alone: half the memory."""
        return replace(self, backward=None)

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
