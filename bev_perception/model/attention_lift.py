# SPDX-License-Identifier: Apache-2.0
"""The lift "attention": every BEV cell looks for its features around where cameras see it.

Sources: deformable attention at projected reference points is that of Li et al., "BEVFormer", 2022,
after Zhu et al., "Deformable DETR", 2021; a query that is the position's raster encoding and
attends across cameras is the transformer lift that Tesla presented in 2021. Here the weights
of all heights and cameras of a cell are one softmax, of a learned score of the place and of the
query's product with the features themselves, which are key and value at once.

A camera that is missing, or does not see a point, has no sighting and so takes no part.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bev_perception.model.config import SegnetConfig
from bev_perception.model.raster_encoding import raster_encoding
from bev_perception.model.sighting_table import SightingTable


class _SegmentSum(torch.autograd.Function):
    """Sums of consecutive rows; the gradient is each sum's, repeated."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, offsets: Tensor) -> Tensor:
        ctx.save_for_backward(offsets)
        everyone = torch.arange(len(rows), dtype=offsets.dtype, device=rows.device)
        return functional.embedding_bag(
            everyone, rows, offsets, mode="sum", include_last_offset=True
        )

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (offsets,) = ctx.saved_tensors
        return gradient.repeat_interleave(torch.diff(offsets), dim=0), None


def segment_sum(rows: Tensor, offsets: Tensor) -> Tensor:
    """Rows (n, ...) to (m, ...), entry i the sum of rows[offsets[i]:offsets[i + 1]]."""
    sums: Tensor = _SegmentSum.apply(rows.flatten(1), offsets)
    return sums.unflatten(1, rows.shape[1:])


class PillarAttention(nn.Module):
    """One round of looking.

    Args:
        config: channels, heads, points and heights.
    """

    def __init__(self, config: SegnetConfig) -> None:
        super().__init__()
        settings, latent = config.lift_settings, config.latent_dim
        self.heads, self.points = settings.heads, settings.points
        self.heights = len(config.heights_m)
        places = self.heights * self.heads * self.points
        self.to_values = nn.Conv2d(latent, latent, 1)
        self.to_keys = nn.Linear(latent, latent)
        self.to_scores = nn.Linear(latent, places)
        self.to_offsets = nn.Linear(latent, 2 * places)
        self.output = nn.Linear(latent, latent)
        nn.init.zeros_(self.to_scores.weight)
        nn.init.zeros_(self.to_scores.bias)
        nn.init.zeros_(self.to_offsets.weight)
        with torch.no_grad():
            self.to_offsets.bias.copy_(self._star())

    def _star(self) -> Tensor:
        """Offsets at first: the projected point itself, others in a head's direction."""
        angles = torch.arange(self.heads) * (2.0 * math.pi / self.heads)
        directions = torch.stack([angles.cos(), angles.sin()], dim=-1)
        steps = torch.arange(self.points).float()
        star = directions[:, None] * steps[:, None]  # (heads, points, 2)
        return star.expand(self.heights, -1, -1, -1).reshape(-1)

    def forward(self, queries: Tensor, features: Tensor, table: SightingTable) -> Tensor:
        """Queries (B * Y * X, C) and features (B, S, C, h, w) to what was found, (B * Y * X, C)."""
        values = self.to_values(features.flatten(0, 1))
        wide = torch.promote_types(values.dtype, torch.float32)
        sampled = self._sampled(values.to(wide), self.to_offsets(queries).to(wide), table)
        cells = table.voxels // self.heights
        keys = self.to_keys(queries).to(wide).unflatten(1, (self.heads, 1, -1))
        logits = (sampled * keys.index_select(0, cells)).sum(-1) / math.sqrt(sampled.shape[-1])
        scores = self.to_scores(queries).to(wide).view(-1, self.heads, self.points)
        logits = logits + scores.index_select(0, table.voxels)  # (n, heads, points)
        weights = _exponentials(logits, cells, len(queries))
        total = segment_sum(weights.sum(-1), table.offsets)
        found = segment_sum((weights.unsqueeze(-1) * sampled).sum(2), table.offsets)
        found = found / total.clamp(min=torch.finfo(wide).tiny).unsqueeze(-1)
        answer: Tensor = self.output(found.flatten(1).to(queries.dtype))
        return answer

    def _sampled(self, values: Tensor, offsets: Tensor, table: SightingTable) -> Tensor:
        """Values (B * S, C, h, w) at the places looked at, (n, heads, points, C / heads).

        All maps lie below each other in one, which a single grid_sample reads. Places are kept
        on the map that they belong to, so nothing is read of its neighbours.
        """
        count, _, rows, columns = values.shape
        atlas = values.view(count, self.heads, -1, rows, columns).permute(1, 2, 0, 3, 4)
        atlas = atlas.reshape(self.heads, -1, count * rows, columns)
        offsets = offsets.view(-1, self.heads, self.points, 2).index_select(0, table.voxels)
        places = table.positions.to(offsets.dtype)[:, None, None] + offsets
        x = places[..., 0].clamp(0.0, columns - 1.0)
        y = places[..., 1].clamp(0.0, rows - 1.0) + (table.maps * rows)[:, None, None]
        # grid_sample's -1 and 1 are the outer edges, -0.5 and size - 0.5.
        edges = torch.stack([(2 * x + 1) / columns - 1, (2 * y + 1) / (count * rows) - 1], dim=-1)
        sampled = functional.grid_sample(
            atlas,
            edges.transpose(0, 1),
            mode="bilinear",
            padding_mode="border",
            align_corners=False,
        )
        return sampled.permute(2, 0, 3, 1)


def _exponentials(logits: Tensor, cells: Tensor, num_cells: int) -> Tensor:
    """exp of logits (n, heads, points), less the largest of the same cell and head."""
    largest = logits.detach().amax(dim=-1)
    index = cells[:, None].expand_as(largest)
    most = largest.new_full((num_cells, largest.shape[1]), -torch.inf)
    most = most.scatter_reduce(0, index, largest, reduce="amax")
    return (logits - most.index_select(0, cells).unsqueeze(-1)).exp()


class AttentionLift(nn.Module):
    """Queries of all BEV cells and rounds of looking.

    Args:
        config: channels, grid, bands and layers.
    """

    def __init__(self, config: SegnetConfig) -> None:
        super().__init__()
        settings, latent = config.lift_settings, config.latent_dim
        encoding = raster_encoding(config.grid, settings.bands)
        self.encoding: Tensor
        self.register_buffer("encoding", encoding, persistent=False)
        self.embed = nn.Sequential(
            nn.Linear(encoding.shape[1], latent), nn.ReLU(), nn.Linear(latent, latent)
        )
        self.rounds = nn.ModuleList(PillarAttention(config) for _ in range(settings.layers))

    def forward(self, features: Tensor, table: SightingTable) -> Tensor:
        """Features (B, S, C, h, w) to (B, C, Y, X) in channels-last memory."""
        queries = self.embed(self.encoding).repeat(len(features), 1)
        for look in self.rounds:
            queries = queries + look(queries, features, table)
        num_y, num_x, _ = table.voxel_shape
        return queries.view(len(features), num_y, num_x, -1).permute(0, 3, 1, 2)
