# SPDX-License-Identifier: Apache-2.0
"""The image encoder: a ResNet to stride 16, brought back to stride 8."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from bev_perception.model.norm import InstanceNorm
from bev_perception.model.resnet import make_resnet


class UpsamplingConcat(nn.Module):
    """Doubles a coarse map, joins it with a finer one and mixes both with two 3x3 layers."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            InstanceNorm(),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            InstanceNorm(),
            nn.ReLU(inplace=True),
        )

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """(N, C1, H/2, W/2) and (N, C2, H, W) to (N, out_channels, H, W)."""
        coarse = functional.interpolate(
            coarse, size=fine.shape[-2:], mode="bilinear", align_corners=False
        )
        return self.conv(torch.cat([fine, coarse], dim=1))


class ImageEncoder(nn.Module):
    """Images to features at stride 8.

    Args:
        name: one of config.ENCODERS.
        latent_dim: channels of the features.
        light_widths: see SegnetConfig.
    """

    def __init__(self, name: str, latent_dim: int, light_widths: Sequence[int]) -> None:
        super().__init__()
        self.backbone = make_resnet(name, light_widths)
        fine, coarse = self.backbone.out_channels
        self.upsampling = UpsamplingConcat(fine + coarse, fine)
        self.to_latent = nn.Conv2d(fine, latent_dim, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) to features (N, latent_dim, H / 8, W / 8)."""
        fine, coarse = self.backbone(images)
        return self.to_latent(self.upsampling(coarse, fine))
