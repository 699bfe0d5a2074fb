# SPDX-License-Identifier: Apache-2.0
"""The network in the BEV plane: compressor, encoder-decoder with skips, heads."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from bev_perception.model.norm import InstanceNorm
from bev_perception.model.refinement import Refinement
from bev_perception.model.resnet import BasicBlock, initialise_residual, residual_layer


def make_compressor(num_heights: int, latent_dim: int) -> nn.Sequential:
    """Stacked heights (B, Z * C, Y, X) to one BEV feature (B, C, Y, X)."""
    return nn.Sequential(
        nn.Conv2d(num_heights * latent_dim, latent_dim, 3, padding=1, bias=False),
        InstanceNorm(),
        nn.GELU(),
    )


def make_head(channels: int, out_channels: int) -> nn.Sequential:
    """3x3 convolution, instance norm, ReLU, 1x1 convolution."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        InstanceNorm(),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, out_channels, 1),
    )


class UpsamplingAdd(nn.Module):
    """Doubles a coarse map, matches its channels and adds the skip.

    The 1x1 convolution runs before the bilinear upsampling: both are linear and
    commute, and the coarse map has a quarter of the cells.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.norm = InstanceNorm()

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        """(B, in, ceil(Y/2), ceil(X/2)) and (B, out, Y, X) to (B, out, Y, X)."""
        rows, columns = skip.shape[-2:]
        x = functional.interpolate(
            self.conv(coarse), scale_factor=2.0, mode="bilinear", align_corners=False
        )
        # A skip of odd size has one row or column less than the doubled map. Cutting it
        # keeps every cell in its place; resizing would stretch the map.
        return self.norm(x[..., :rows, :columns]) + skip


class BevDecoder(nn.Module):
    """ResNet-18-like encoder-decoder over the BEV plane; any grid size.

    Args:
        channels: of the input and of the output.
        widths: channels at strides 2, 4 and 8 of its own cells.
        stride: one of config.DECODER_STRIDES. With 2 its cells are means of 2x2 of the plane's,
            which add their details in the end; rows and columns must then be even.
    """

    def __init__(self, channels: int, widths: Sequence[int], stride: int = 1) -> None:
        super().__init__()
        first, second, third = widths
        self.conv1 = nn.Conv2d(channels, first, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = residual_layer(BasicBlock, first, first, 2)
        self.layer2 = residual_layer(BasicBlock, first, second, 2, stride=2)
        self.layer3 = residual_layer(BasicBlock, second, third, 2, stride=2)
        self.up3 = UpsamplingAdd(third, second)
        self.up2 = UpsamplingAdd(second, first)
        self.up1 = UpsamplingAdd(first, channels)
        initialise_residual(self, zero_last_norm=True)
        self.refinement = Refinement(channels, channels) if stride == 2 else None

    def downwards(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, channels, Y, X) to what its first half makes of it at strides 1, 2, 4 and 8."""
        stride1 = x if self.refinement is None else functional.avg_pool2d(x, 2)
        stride2 = self.layer1(self.relu(self.bn1(self.conv1(stride1))))
        stride4 = self.layer2(stride2)
        return stride1, stride2, stride4, self.layer3(stride4)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, Y, X) to the same shape."""
        stride1, stride2, stride4, stride8 = self.downwards(x)
        y: Tensor = self.up1(self.up2(self.up3(stride8, stride4), stride2), stride1)
        return y if self.refinement is None else self.refinement(y, x)
