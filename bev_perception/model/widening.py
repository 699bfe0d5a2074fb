# SPDX-License-Identifier: Apache-2.0
"""A wider encoder that begins with what a narrower one has learned.

Source: Chen, Goodfellow and Shlens, "Net2Net: Accelerating Learning via Knowledge Transfer", 2016
(arXiv:1511.05641), the widening. Channels are copied, and what reads them shares its weights out
among the copies, so that the wide network says what the narrow one said. There halves are equal and
noise tells copies apart; here shares are drawn such that gradients of copies are uncorrelated from
the first step on, and nothing is lost to noise.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from bev_perception.model.config import SegnetConfig
from bev_perception.model.encoder import ImageEncoder
from bev_perception.model.resnet import BasicBlock, basic_widths
from bev_perception.model.segnet import Segnet


def is_widening(narrow: SegnetConfig, wide: SegnetConfig) -> bool:
    """Whether both have encoders of one build and no layer of the second is narrower."""
    one = basic_widths(narrow.encoder, narrow.light_widths)
    other = basic_widths(wide.encoder, wide.light_widths)
    if one is None or other is None or one == other:
        return False
    return all(few <= many for few, many in zip(one, other))


def widened(model: Segnet, config: SegnetConfig, seed: int = 0) -> Segnet:
    """The network with the encoder of another configuration, which answers as it does.

    Args:
        model: the narrow one; anything but its encoder is copied as it is.
        config: names encoder and light_widths, for which is_widening holds.
        seed: of the shares.
    """
    wide = Segnet(
        replace(model.config, encoder=config.encoder, light_widths=config.light_widths)
    ).to(model.encoder.to_latent.weight.dtype)
    kept = {
        name: value for name, value in model.state_dict().items() if not name.startswith("encoder.")
    }
    wide.load_state_dict({**wide.state_dict(), **kept})
    with torch.no_grad():
        _Widening(seed).encoder(model.encoder, wide.encoder)
    return wide


class _Widening:
    """Fills wide modules from narrow ones.

    ``copies`` of a layer are a tensor (wide,) of the narrow channel that each wide one copies.
    """

    def __init__(self, seed: int) -> None:
        self._random = torch.Generator().manual_seed(seed)

    def encoder(self, narrow: ImageEncoder, wide: ImageEncoder) -> None:
        """See ImageEncoder."""
        before, after = narrow.backbone, wide.backbone
        copies = self._convolution(before.conv1, after.conv1, torch.arange(3))
        _norm(before.bn1, after.bn1, copies)
        finest_copies = self._layer(before.layer1, after.layer1, copies)
        fine = self._layer(before.layer2, after.layer2, finest_copies)
        coarse = self._layer(before.layer3, after.layer3, fine)
        joined = torch.cat([fine, before.out_channels[1] + coarse])
        joined = self._mixing(narrow.upsampling.conv, wide.upsampling.conv, joined)
        self._convolution(narrow.to_latent, wide.to_latent, joined)
        if narrow.refinement is not None and wide.refinement is not None:
            finest = before.out_channels[0]
            latent = torch.arange(narrow.to_latent.out_channels)
            joined = torch.cat([finest_copies, finest + latent])
            self._mixing(narrow.refinement.conv, wide.refinement.conv, joined)
            wide.refinement.to_details.load_state_dict(narrow.refinement.to_details.state_dict())

    def _mixing(self, narrow: nn.Sequential, wide: nn.Sequential, copies: Tensor) -> Tensor:
        for few, many in zip(narrow, wide):
            if isinstance(few, nn.Conv2d) and isinstance(many, nn.Conv2d):
                copies = self._convolution(few, many, copies)
        return copies

    def _layer(self, narrow: nn.Sequential, wide: nn.Sequential, copies: Tensor) -> Tensor:
        for few, many in zip(narrow, wide):
            assert isinstance(few, BasicBlock)
            assert isinstance(many, BasicBlock)
            inner = self._convolution(few.conv1, many.conv1, copies)
            _norm(few.bn1, many.bn1, inner)
            out = self._convolution(few.conv2, many.conv2, inner)
            _norm(few.bn2, many.bn2, out)
            if few.downsample is not None and many.downsample is not None:
                self._convolution(few.downsample[0], many.downsample[0], copies)
                _norm(few.downsample[1], many.downsample[1], out)
            copies = out
        return copies

    def _convolution(self, narrow: nn.Module, wide: nn.Module, copies: Tensor) -> Tensor:
        """Weights for inputs that are such copies; returns the copies of its outputs."""
        assert isinstance(narrow, nn.Conv2d)
        assert isinstance(wide, nn.Conv2d)
        outputs = torch.arange(wide.out_channels) % narrow.out_channels
        read = narrow.weight[outputs][:, copies]
        wide.weight.copy_(read * self._shares(read, copies))
        if narrow.bias is not None and wide.bias is not None:
            wide.bias.copy_(narrow.bias[outputs])
        return outputs

    def _shares(self, read: Tensor, copies: Tensor) -> Tensor:
        """Factors (out, in, rows, columns) whose sum over the copies of each channel is 1.

        With deviation 1 / sqrt(n) before n of them are centred, those of two copies have mean
        product 0, as 1/n^2 - (1/n) / n, and mean squares add up to 1: weights keep their size.
        """
        counts = torch.bincount(copies)[copies].view(1, -1, 1, 1)
        drawn = torch.randn(read.shape, generator=self._random) / counts.sqrt()
        totals = torch.zeros_like(drawn).index_add_(1, copies, drawn)
        return (drawn + (1.0 - totals[:, copies]) / counts).to(read.dtype)


def _norm(narrow: nn.Module, wide: nn.Module, copies: Tensor) -> None:
    """Every value of a batch norm, for channels that are such copies."""
    values = {
        name: value[copies] if value.dim() else value for name, value in narrow.state_dict().items()
    }
    wide.load_state_dict(values)
