# SPDX-License-Identifier: Apache-2.0
"""The lift "depth": features go where their predicted depths put them.

Source: Philion and Fidler, "Lift, Splat, Shoot", 2020. Every feature cell has a distribution over
depths; its features, weighed by the distribution, are summed up in the BEV cells in which the
points of its ray lie. The sum is taken directly, without the outer product of depths and
features in between, so it takes no more memory than the points' indices.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bev_perception.model.config import SegnetConfig
from bev_perception.model.frustum_table import FrustumTable
from bev_perception.model.norm import InstanceNorm

CHUNK = 1 << 16
"""Points whose gradients are computed at a time."""


class _Splat(torch.autograd.Function):
    """Sums of weighted rows, whose gradients are sums and products in a fixed order, too."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, shares: Tensor, table: FrustumTable) -> Tensor:
        ctx.table = table
        ctx.save_for_backward(rows, shares)
        return functional.embedding_bag(
            table.points // table.num_bins,
            rows,
            table.offsets,
            mode="sum",
            per_sample_weights=shares.index_select(0, table.points),
            include_last_offset=True,
        )

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        table: FrustumTable = ctx.table
        rows, shares = ctx.saved_tensors
        gradient = gradient.contiguous()
        to_rows = functional.embedding_bag(
            table.bev_by_cell,
            gradient,
            table.cell_offsets,
            mode="sum",
            per_sample_weights=shares.index_select(0, table.points_by_cell),
            include_last_offset=True,
        )
        to_shares = torch.zeros_like(shares)
        for points, bev in zip(table.points_by_cell.split(CHUNK), table.bev_by_cell.split(CHUNK)):
            seen = rows.index_select(0, points // table.num_bins)
            to_shares[points.long()] = (seen * gradient.index_select(0, bev)).sum(dim=1)
        return to_rows, to_shares, None


def splat(rows: Tensor, shares: Tensor, table: FrustumTable) -> Tensor:
    """Features summed up on the grid.

    Args:
        rows: (feature cells, C).
        shares: (feature cells * bins,) weight of every point, of the same type.
        table: which point lies where.

    Returns:
        (BEV cells, C); 0 where no point lies.
    """
    result: Tensor = _Splat.apply(rows, shares, table)
    return result


class DepthLift(nn.Module):
    """Predicts depths and splats features by them.

    Args:
        config: channels, bins.
    """

    def __init__(self, config: SegnetConfig) -> None:
        super().__init__()
        latent = config.latent_dim
        self.depth_head = nn.Sequential(
            nn.Conv2d(latent, latent, 3, padding=1, bias=False),
            InstanceNorm(),
            nn.ReLU(inplace=True),
            nn.Conv2d(latent, config.lift_settings.depth_bins, 1),
        )

    def depth_logits(self, features: Tensor) -> Tensor:
        """Features (B, S, C, h, w) to float32 logits (B, S, bins, h, w) of the depth's bin."""
        logits: Tensor = self.depth_head(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def forward(self, features: Tensor, table: FrustumTable) -> Tensor:
        """Features (B, S, C, h, w) to (B, C, Y, X) in channels-last memory."""
        probability = self.depth_logits(features).softmax(dim=2)
        return splat_features(features, probability, table)


def splat_features(features: Tensor, probability: Tensor, table: FrustumTable) -> Tensor:
    """Features (B, S, C, h, w) by depth distributions (B, S, bins, h, w) to (B, C, Y, X)."""
    rows = features.permute(0, 1, 3, 4, 2).reshape(-1, features.shape[2])
    shares = probability.permute(0, 1, 3, 4, 2).reshape(-1).to(rows.dtype)
    num_y, num_x, _ = table.voxel_shape
    plane = splat(rows, shares, table)
    return plane.view(len(features), num_y, num_x, -1).permute(0, 3, 1, 2)
