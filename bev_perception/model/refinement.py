# SPDX-License-Identifier: Apache-2.0
"""Maps of twice the resolution, of images and of the BEV plane."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from bev_perception.model.norm import InstanceNorm


class UpsamplingConcat(nn.Module):
    """Doubles a coarse map, joins it with a finer one and mixes both with two 3x3 layers."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = _mixing(in_channels, out_channels)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """(N, C1, H/2, W/2) and (N, C2, H, W) to (N, out_channels, H, W)."""
        return self.conv(torch.cat([fine, _enlarged(coarse, fine)], dim=1))


class Refinement(nn.Module):
    """Doubles a map and adds details that a finer one tells; none before any training.

    What a trained network makes of the coarse map thus goes on nearly as it is, smoothed by a
    quarter of its cells.
    """

    def __init__(self, channels: int, fine_channels: int) -> None:
        super().__init__()
        self.conv = _mixing(fine_channels + channels, channels)
        self.to_details = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.to_details.weight)
        nn.init.zeros_(self.to_details.bias)  # type: ignore[arg-type]

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """(N, channels, H/2, W/2) and (N, fine_channels, H, W) to (N, channels, H, W)."""
        doubled = _enlarged(coarse, fine)
        return doubled + self.to_details(self.conv(torch.cat([fine, doubled], dim=1)))


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
