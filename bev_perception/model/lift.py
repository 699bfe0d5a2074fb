# SPDX-License-Identifier: Apache-2.0
"""Applies a tap table: image features of all cameras to voxel features, and back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bev_perception.model.taps import GatherTable, TapTable


def gather(rows: Tensor, table: GatherTable) -> Tensor:
    """Weighted sums of rows (N, C): (number of output rows, C), same type as rows."""
    return functional.embedding_bag(
        table.indices,
        rows,
        table.offsets,
        mode="sum",
        per_sample_weights=table.weights.to(rows.dtype),
        include_last_offset=True,
    )


class _Gather(torch.autograd.Function):
    """A gather whose gradient is a gather, too: no atomics, the same sum in every run."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, taps: TapTable) -> Tensor:
        ctx.taps = taps
        return gather(rows, taps.forward)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        table = ctx.taps.backward
        return gather(gradient.contiguous(), table), None


def lift(features: Tensor, taps: TapTable) -> Tensor:
    """Voxel features, heights stacked into channels.

    Args:
        features: (B, S, C, h, w); fastest when channels-last per image.
        taps: for the same B, S, h and w.

    Returns:
        (B, Z * C, Y, X) in channels-last memory, channel z * C + c; 0 where no camera sees.

    Raises:
        ValueError: features and taps do not belong together.
    """
    batch, cameras, channels, *shape = features.shape
    expected = (taps.batch_size, taps.num_cameras, *taps.feature_shape)
    if (batch, cameras, *shape) != expected:
        raise ValueError(
            f"features (batch, cameras, rows, columns) {(batch, cameras, *shape)} do not "
            f"belong to a tap table for {expected}"
        )
    rows = features.permute(0, 1, 3, 4, 2).reshape(-1, channels)
    if torch.is_grad_enabled() and rows.requires_grad:
        voxels = _Gather.apply(rows, taps.with_backward())
    else:
        voxels = gather(rows, taps.forward)
    num_y, num_x, heights = taps.voxel_shape
    return voxels.view(batch, num_y, num_x, heights * channels).permute(0, 3, 1, 2)
