# SPDX-License-Identifier: Apache-2.0
"""Every lift as gathers, products and sums, which all libraries that run graphs know.

Each function takes an inference form, feature rows (S * h * w, C) and the tables of its layout, and
gives the voxels' rows (Y * X * Z, C). Sampling at learned places is four gathers, too, not
GridSample: in bfloat16 that rounds its coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from bev_perception.model.attention_lift import AttentionLift, PillarAttention
from bev_perception.model.camera_plane_lift import CameraPlaneLift
from bev_perception.model.config import SegnetConfig
from bev_perception.model.depth_lift import DepthLift
from bev_perception.model.graph_layout import GraphLayout
from bev_perception.model.inference_form import InferenceSegnet
from bev_perception.model.pillar_layout import PillarLayout
from bev_perception.model.splat_layout import SplatLayout
from bev_perception.model.tap_layout import PlanesLayout, TapLayout

GraphLift = Callable[[InferenceSegnet, Tensor, Sequence[Tensor]], Tensor]

_NEVER = 1e4
"""Less than this no logit and no feature is; half precision can say it, too."""


def gathered(network: InferenceSegnet, rows: Tensor, tables: Sequence[Tensor]) -> Tensor:
    """The lifts "bilinear" and "ground", by TapLayout."""
    cells, weights, slots = tables
    # index_select becomes Gather; rows[index] would become GatherND.
    sighted = _weighed(rows, cells, weights.to(rows.dtype))
    return _summed(sighted, slots)


def fused_planes(network: InferenceSegnet, rows: Tensor, tables: Sequence[Tensor]) -> Tensor:
    """The lift "ground_late", by PlanesLayout."""
    *taps, seen = tables
    num_y, num_x = network.config.grid.shape
    planes = gathered(network, rows, taps).view(len(seen), num_y, num_x, -1).permute(0, 3, 1, 2)
    judged = cast(CameraPlaneLift, network.lifting).judge(planes)
    seen = seen.to(judged.dtype)
    judged = judged + (seen - 1.0) * _NEVER
    fused, anybody = judged[:1], seen[:1]
    for camera in range(1, len(seen)):
        fused = torch.maximum(fused, judged[camera : camera + 1])
        anybody = torch.maximum(anybody, seen[camera : camera + 1])
    return (fused * anybody).permute(0, 2, 3, 1).reshape(num_y * num_x, -1)


def splatted(network: InferenceSegnet, rows: Tensor, tables: Sequence[Tensor]) -> Tensor:
    """The lift "depth", by SplatLayout."""
    cells, points, *levels, slots = tables
    logits = cast(DepthLift, network.lifting).depth_head(_maps(network.config, rows))
    shares = logits.float().softmax(dim=1).permute(0, 2, 3, 1).reshape(-1)
    shares = torch.cat([shares, shares.new_zeros(1)]).to(rows.dtype)
    weights = torch.stack([shares.index_select(0, lane) for lane in points])
    sums = [_weighed(rows, cells, weights)]
    for level in levels:
        sums.append(_summed(sums[-1], level))
    return _summed(torch.cat(sums), slots)


def looked_for(network: InferenceSegnet, rows: Tensor, tables: Sequence[Tensor]) -> Tensor:
    """The lift "attention", by PillarLayout."""
    lift = cast(AttentionLift, network.lifting)
    features = _maps(network.config, rows)
    queries = lift.embed(lift.encoding.to(rows.dtype))
    for look in lift.rounds:
        queries = queries + _round(cast(PillarAttention, look), queries, features, tables)
    return queries


def _round(
    look: PillarAttention, queries: Tensor, features: Tensor, tables: Sequence[Tensor]
) -> Tensor:
    """PillarAttention.forward with as many sightings of every cell."""
    positions, cameras, voxels, valid = tables
    slots, cells = valid.shape
    heads, points = look.heads, look.points
    values = look.to_values(features).float()
    offsets = look.to_offsets(queries).float().view(cells * look.heights, -1)
    scores = look.to_scores(queries).float().view(cells * look.heights, -1)
    wanted = voxels.reshape(-1)
    offsets = offsets.index_select(0, wanted).view(slots, cells, heads, points, 2)
    scores = scores.index_select(0, wanted).view(slots, cells, heads, points)
    sampled = _sampled(values, positions[:, :, None, None] + offsets, cameras[:, :, None, None])
    keys = look.to_keys(queries).float().view(1, cells, heads, 1, -1)
    logits = (sampled * keys).sum(-1) / math.sqrt(values.shape[1] // heads) + scores
    logits = logits + (valid[:, :, None, None] - 1.0) * _NEVER
    # All places of a cell and head, over slots, in the last dimension.
    beside = logits.permute(1, 2, 0, 3).reshape(cells, heads, slots * points)
    weights = beside.softmax(dim=-1).view(cells, heads, slots, points).permute(2, 0, 1, 3)
    weights = weights * valid[:, :, None, None]
    found = (weights.unsqueeze(-1) * sampled).sum(3).sum(0)
    answer: Tensor = look.output(found.reshape(cells, -1).to(queries.dtype))
    return answer


def _sampled(values: Tensor, places: Tensor, cameras: Tensor) -> Tensor:
    """Values (S, C, h, w) at places (slots, cells, heads, points, 2) of the heads' channels,
    bilinearly, (slots, cells, heads, points, C / heads), of the numbered cameras."""
    _, channels, height, width = values.shape
    heads = places.shape[2]
    flat = values.permute(0, 2, 3, 1).reshape(-1, channels // heads)
    x, y = places[..., 0].clamp(0.0, width - 1.0), places[..., 1].clamp(0.0, height - 1.0)
    left, top = x.floor(), y.floor()
    right, bottom = (left + 1.0).clamp(max=width - 1.0), (top + 1.0).clamp(max=height - 1.0)
    head = torch.arange(heads, dtype=values.dtype)[:, None]
    result: Any = 0.0
    for row, share_y in ((top, 1.0 - (y - top)), (bottom, y - top)):
        for column, share_x in ((left, 1.0 - (x - left)), (right, x - left)):
            index = ((cameras * height + row) * width + column) * heads + head
            taken = flat.index_select(0, index.reshape(-1).to(torch.int32))
            result = result + taken.view(*index.shape, -1) * (share_x * share_y).unsqueeze(-1)
    tensor: Tensor = result
    return tensor


def _maps(config: SegnetConfig, rows: Tensor) -> Tensor:
    """Feature rows (S * h * w, C) as maps (S, C, h, w)."""
    return rows.view(-1, *config.feature_shape, config.latent_dim).permute(0, 3, 1, 2)


def _weighed(rows: Tensor, cells: Tensor, weights: Tensor) -> Tensor:
    """Sums over the first dimension of rows at cells (k, n) times weights (k, n), (n, C)."""
    result = rows.index_select(0, cells[0]) * weights[0, :, None]
    for lane in range(1, len(cells)):
        result = result + rows.index_select(0, cells[lane]) * weights[lane, :, None]
    return result


def _summed(rows: Tensor, table: Tensor) -> Tensor:
    """Sums over the first dimension of rows at a table's (k, n) places, (n, C)."""
    result = rows.index_select(0, table[0])
    for lane in range(1, len(table)):
        result = result + rows.index_select(0, table[lane])
    return result


_LIFTS: dict[str, tuple[GraphLift, type[GraphLayout]]] = {
    "bilinear": (gathered, TapLayout),
    "ground": (gathered, TapLayout),
    "ground_late": (fused_planes, PlanesLayout),
    "depth": (splatted, SplatLayout),
    "attention": (looked_for, PillarLayout),
}


def graph_lift(config: SegnetConfig) -> GraphLift:
    """The lift of a network as a graph."""
    return _LIFTS[config.lift][0]


def layout_type(config: SegnetConfig) -> type[Any]:
    """The layout of that graph's tables."""
    return _LIFTS[config.lift][1]
