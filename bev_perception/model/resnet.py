# SPDX-License-Identifier: Apache-2.0
"""Residual networks (He et al. 2015), named so that standard checkpoints fit.

State-dict names (``conv1``, ``bn1``, ``layer1.0.conv1``, ``layer1.0.downsample.0``, ...) are
those under which ImageNet weights are commonly published.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; ResNet-18."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(in_channels, width, stride)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The norm that scales the residual branch."""
        return self.bn2

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, width, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)


class Bottleneck(nn.Module):
    """1x1, 3x3 (which carries the stride) and 1x1 convolutions; ResNet-50 and deeper."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The norm that scales the residual branch."""
        return self.bn3

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, 4 * width, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + shortcut)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
    )


def residual_layer(
    block: type[BasicBlock] | type[Bottleneck],
    in_channels: int,
    width: int,
    depth: int,
    stride: int = 1,
) -> nn.Sequential:
    """``depth`` blocks, the first of which carries the stride."""
    blocks = [block(in_channels, width, stride)]
    blocks += [block(width * block.expansion, width) for _ in range(depth - 1)]
    return nn.Sequential(*blocks)


def initialise_residual(module: nn.Module, zero_last_norm: bool = False) -> None:
    """He initialisation of every convolution; optionally residual branches that start at 0."""
    for child in module.modules():
        if isinstance(child, nn.Conv2d):
            nn.init.kaiming_normal_(child.weight, mode="fan_out", nonlinearity="relu")
        if zero_last_norm and isinstance(child, (BasicBlock, Bottleneck)):
            nn.init.zeros_(child.last_norm.weight)


class ResNet(nn.Module):
    """A ResNet up to layer3, that is to stride 16.

    Args:
        block: BasicBlock or Bottleneck.
        depths: blocks of layer1, layer2, layer3.
        widths: widths of the three layers before the block's expansion; the stem has the first.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: Sequence[int],
        widths: Sequence[int] = (64, 128, 256),
    ) -> None:
        super().__init__()
        stem = widths[0]
        self.conv1 = nn.Conv2d(3, stem, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        outs = [width * block.expansion for width in widths]
        self.layer1 = residual_layer(block, stem, widths[0], depths[0])
        self.layer2 = residual_layer(block, outs[0], widths[1], depths[1], stride=2)
        self.layer3 = residual_layer(block, outs[1], widths[2], depths[2], stride=2)
        self.out_channels = outs[0], outs[1], outs[2]
        """Channels at strides 4, 8 and 16."""
        initialise_residual(self)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised images (N, 3, H, W) to maps at strides 4, 8 and 16."""
        stride4 = self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(x)))))
        stride8 = self.layer2(stride4)
        return stride4, stride8, self.layer3(stride8)


def basic_widths(name: str, light_widths: Sequence[int]) -> tuple[int, ...] | None:
    """Widths of the layers of those config.ENCODERS that are two basic blocks each; else None."""
    widths = {"resnet18": (64, 128, 256), "light": tuple(light_widths)}
    return widths.get(name)


def make_resnet(name: str, light_widths: Sequence[int]) -> ResNet:
    """The backbone of one of config.ENCODERS."""
    if name == "resnet101":
        return ResNet(Bottleneck, (3, 4, 23))
    if name == "resnet50":
        return ResNet(Bottleneck, (3, 4, 6))
    widths = basic_widths(name, light_widths)
    assert widths is not None, name
    return ResNet(BasicBlock, (2, 2, 2), widths)
