# SPDX-License-Identifier: Apache-2.0
"""The image encoder: a ResNet to stride 16, brought back to stride 8 or 4."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from bev_perception.model.refinement import Refinement, UpsamplingConcat
from bev_perception.model.resnet import make_resnet


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
        features: Tensor = self.to_latent(self.upsampling(coarse, fine))
        return features if self.refinement is None else self.refinement(features, finest)
