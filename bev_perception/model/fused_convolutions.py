# SPDX-License-Identifier: Apache-2.0
"""Convolutions that add and rectify as they write, with weights packed once, on x86 CPUs.

The operators are those that torch.compile emits for a frozen network, so nothing needs to be
compiled. Where a build of torch lacks them the network stays as it is.
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn

from bev_perception.model.resnet import BasicBlock, Bottleneck

_LOGGER = logging.getLogger(__name__)


class FusedConvolution(nn.Module):
    """A convolution, perhaps with a map added, perhaps rectified, in one pass.

    Args:
        convolution: on the CPU; keeps its weights.
        rectified: whether a ReLU follows.
    """

    def __init__(self, convolution: nn.Module, rectified: bool) -> None:
        super().__init__()
        assert isinstance(convolution, nn.Conv2d)
        geometry = (
            list(convolution.padding),
            list(convolution.stride),
            list(convolution.dilation),
            convolution.groups,
        )
        self._geometry = geometry
        self._weight = torch.ops.mkldnn._reorder_convolution_weight(
            convolution.weight.detach(), *geometry, None
        )
        self._bias = None if convolution.bias is None else convolution.bias.detach()
        self._after = "relu" if rectified else "none"

    def forward(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """(N, C, H, W) to the convolution's shape; `added` has that shape, too."""
        if added is None:
            return torch.ops.mkldnn._convolution_pointwise(
                x, self._weight, self._bias, *self._geometry, self._after, [], ""
            )
        return torch.ops.mkldnn._convolution_pointwise.binary(
            x, added, self._weight, self._bias, *self._geometry, "add", 1.0, self._after, [], ""
        )


class FusedBlock(nn.Module):
    """A residual block whose batch norms are folded."""

    def __init__(self, block: BasicBlock | Bottleneck) -> None:
        super().__init__()
        *inner, last = [
            child
            for child in (getattr(block, name, None) for name in ("conv1", "conv2", "conv3"))
            if child is not None
        ]
        self.inner = nn.Sequential(*(_rectified(child) for child in inner))
        self.last = FusedConvolution(last, True)
        self.shortcut = (
            None if block.downsample is None else FusedConvolution(block.downsample[0], False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to the block's shape."""
        return self.last(self.inner(x), x if self.shortcut is None else self.shortcut(x))


def _rectified(convolution: nn.Module) -> nn.Module:
    """A convolution, of whatever kind, and the ReLU after it."""
    if isinstance(convolution, nn.Conv2d):
        return FusedConvolution(convolution, True)
    return nn.Sequential(convolution, nn.ReLU(inplace=True))


def fuse_convolutions(network: nn.Module) -> bool:
    """Fuses what it can of a network on the CPU whose batch norms are folded.

    Returns:
        Whether it did; False leaves the network as it was.
    """
    try:
        _try_operators(network)
    except (AttributeError, NotImplementedError, RuntimeError) as error:
        _LOGGER.info("convolutions are not fused, torch %s: %s", torch.__version__, error)
        return False
    _fuse(network)
    return True


def _fuse(network: nn.Module) -> None:
    for name, child in network.named_children():
        if isinstance(child, (BasicBlock, Bottleneck)):
            setattr(network, name, FusedBlock(child))
        elif isinstance(child, nn.Conv2d):
            rectified = name == "conv1"
            if rectified:  # the stem of the encoder and of the decoder
                network.relu = nn.Identity()
            setattr(network, name, FusedConvolution(child, rectified))
        else:
            _fuse(child)


def _try_operators(network: nn.Module) -> None:
    """Raises what the operators raise where they do not work."""
    weight = next(network.parameters())
    trial = nn.Conv2d(8, 8, 3, padding=1).requires_grad_(False).to(weight.dtype)
    x = torch.zeros(1, 8, 8, 8, dtype=weight.dtype).to(memory_format=torch.channels_last)
    FusedConvolution(trial, True)(x, FusedConvolution(trial, False)(x))
