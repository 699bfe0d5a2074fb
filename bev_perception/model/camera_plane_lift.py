# SPDX-License-Identifier: Apache-2.0
"""The lift "ground_late": every camera makes its own map of flat ground, then maps are fused.

The traditional order of things: project each camera onto the ground as if all lay there, let each
camera say what it sees, and combine what they say where their views overlap. The lift "ground"
combines first and looks afterwards.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bev_perception.model.bev_decoder import make_compressor
from bev_perception.model.camera_planes import seen_by
from bev_perception.model.config import SegnetConfig
from bev_perception.model.lift import lift
from bev_perception.model.taps import TapTable


class CameraPlaneLift(nn.Module):
    """Per-camera maps of the ground and their maximum.

    Args:
        config: channels.
    """

    def __init__(self, config: SegnetConfig) -> None:
        super().__init__()
        latent = config.latent_dim
        self.judge = nn.Sequential(
            make_compressor(1, latent), nn.Conv2d(latent, latent, 3, padding=1, bias=False)
        )

    def forward(self, features: Tensor, planes: TapTable) -> Tensor:
        """Features (B, S, C, h, w) to (B, C, Y, X); 0 where no camera sees."""
        seen = seen_by(planes).unsqueeze(2)  # (B, S, 1, Y, X)
        batch, cameras, _, num_y, _ = seen.shape
        warped = lift(features, planes)  # (B, C, S * Y, X)
        each = warped.unflatten(2, (cameras, num_y)).transpose(1, 2).flatten(0, 1)
        judged: Tensor = self.judge(each.contiguous(memory_format=torch.channels_last))
        judged = judged.unflatten(0, (batch, cameras))
        least = torch.finfo(judged.dtype).min
        fused = judged.masked_fill(~seen, least).amax(dim=1)
        return fused.masked_fill(~seen.any(dim=1), 0.0)
