# SPDX-License-Identifier: Apache-2.0
"""The image encoder: a ResNet to stride 16, brought back to stride 8 or 4."""

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
        self.conv = _mixing(in_channels, out_channels)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """(N, C1, H/2, W/2) and (N, C2, H, W) to (N, out_channels, H, W)."""
        return self.conv(torch.cat([fine, _enlarged(coarse, fine)], dim=1))


class Refinement(nn.Module):
    """Doubles features and adds details that a finer map tells; none before any training.

    Trained features thus go on nearly as they are, smoothed by a quarter of their cells.
    """

    def __init__(self, latent_dim: int, fine_channels: int) -> None:
        super().__init__()
        self.conv = _mixing(fine_channels + latent_dim, latent_dim)
        self.to_details = nn.Conv2d(latent_dim, latent_dim, 1)
        nn.init.zeros_(self.to_details.weight)
        nn.init.zeros_(self.to_details.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor, fine: Tensor) -> Tensor:
        """(N, latent_dim, H/2, W/2) and (N, C, H, W) to (N, latent_dim, H, W)."""
        features = _enlarged(features, fine)
        return features + self.to_details(self.conv(torch.cat([fine, features], dim=1)))


def _mixing(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        InstanceNorm(),
        nn.ReLU(inplace=True),
        nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
        InstanceNorm(),
        nn.ReLU(inplace=True),
    )


def _enlarged(coarse: Tensor, fine: Tensor) -> Tensor:
    size = fine.shape[-2:]
    return functional.interpolate(coarse, size=size, mode="bilinear", align_corners=False)


class ImageEncoder(nn.Module):
    """Images to features at stride 8 or 4.

    Args:
        name: one of config.ENCODERS.
        latent_dim: channels of the features.
        light_widths: see SegnetConfig.
        feature_stride: one of config.FEATURE_STRIDES.
    """

    def __init__(
        self, name: str, latent_dim: int, light_widths: Sequence[int], feature_stride: int = 8
    ) -> None:
        super().__init__()
        self.backbone = make_resnet(name, light_widths)
        finest, fine, coarse = self.backbone.out_channels
        self.upsampling = UpsamplingConcat(fine + coarse, fine)
        self.to_latent = nn.Conv2d(fine, latent_dim, 1)
        self.refinement = Refinement(latent_dim, finest) if feature_stride == 4 else None

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) to features (N, latent_dim, H / stride, W / stride)."""
        finest, fine, coarse = self.backbone(images)
        features = self.to_latent(self.upsampling(coarse, fine))
        return features if self.refinement is None else self.refinement(features, finest)
