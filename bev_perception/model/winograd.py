# SPDX-License-Identifier: Apache-2.0
"""3x3 convolutions with a quarter of the multiplications, for wide layers in fp32 on a CPU.

Winograd's minimal filtering F(4x4, 3x3): tiles of 6x6 pixels and the kernels are transformed,
multiplied as matrices per position, and transformed back to 4x4 outputs. The matrices follow
from the points 0, 1, -1, 2, -2 and infinity (Lavin and Gray 2015, "Fast algorithms for
convolutional neural networks"). Answers differ from the direct sum by about 1e-6 of their
size. In bf16 the direct sum stays: the transforms would cost accuracy, and it is fast.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bev_perception.model.resnet import BasicBlock

MIN_CHANNELS = 128
"""Narrower layers spend on the transforms what they save."""

TILE = 4
_PATCH = TILE + 2

_STRIP = 1 << 19
"""Values per position that are in work at a time, so that they stay in the cache."""

_INPUT = torch.tensor(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    dtype=torch.float64,
)
_KERNEL = (
    torch.tensor(
        [
            [6, 0, 0],
            [-4, -4, -4],
            [-4, 4, -4],
            [1, 2, 4],
            [1, -2, 4],
            [0, 0, 24],
        ],
        dtype=torch.float64,
    )
    / 24
)
_OUTPUT = torch.tensor(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
    dtype=torch.float64,
)


class WinogradConvolution(nn.Module):
    """The same function as a 3x3 convolution of stride 1 that keeps the size."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        kernel = torch.einsum(
            "ai,ocij,bj->abco", _KERNEL, convolution.weight.detach().double(), _KERNEL
        )
        self._kernel = kernel.flatten(0, 1).float().contiguous()  # (36, in, out)
        self._bias = None if convolution.bias is None else convolution.bias.detach()
        self._input = torch.kron(_INPUT, _INPUT).float()  # (36, 36)
        self._output = torch.kron(_OUTPUT, _OUTPUT).float()  # (16, 36)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H, W), both channels-last."""
        count, channels, height, width = x.shape
        tiles_y, tiles_x = math.ceil(height / TILE), math.ceil(width / TILE)
        out = x.new_empty(count, tiles_y * TILE, tiles_x * TILE, self._kernel.shape[2])
        rows = max(1, _STRIP // (tiles_x * channels))
        for image, result in zip(x.permute(0, 2, 3, 1), out):
            for first in range(0, tiles_y, rows):
                last = min(first + rows, tiles_y)
                self._strip(_patches(image, first, last, tiles_x), result[first * TILE :])
        return out[:, :height, :width].permute(0, 3, 1, 2)

    def _strip(self, patches: Tensor, out: Tensor) -> None:
        """Patches (6, 6, rows, columns, in) into the first lines of an output (H, W, out)."""
        _, _, rows, columns, channels = patches.shape
        transformed = self._input @ patches.reshape(_PATCH**2, -1)
        products = torch.bmm(transformed.view(-1, rows * columns, channels), self._kernel)
        tiles = self._output @ products.view(_PATCH**2, -1)
        if self._bias is not None:
            tiles.view(-1, len(self._bias)).add_(self._bias)
        lines = out[: rows * TILE].view(rows, TILE, columns, TILE, -1)
        lines.copy_(tiles.view(TILE, TILE, rows, columns, -1).permute(2, 0, 3, 1, 4))


def _patches(image: Tensor, first: int, last: int, columns: int) -> Tensor:
    """Overlapping patches (6, 6, rows, columns, C) of rows of tiles; zeros beyond the image."""
    height, width, channels = image.shape
    rows = last - first
    padded = image.new_zeros(rows * TILE + 2, columns * TILE + 2, channels)
    top = first * TILE - 1
    begin, end = max(top, 0), min(top + len(padded), height)
    padded[begin - top : end - top, 1 : width + 1] = image[begin:end]
    line, pixel, _ = padded.stride()
    return padded.as_strided(
        (_PATCH, _PATCH, rows, columns, channels), (line, pixel, TILE * line, TILE * pixel, 1)
    )


def use_winograd(network: nn.Module) -> None:
    """Replaces the wide convolutions of a network in fp32 on the CPU.

    Those of basic blocks stay: their maps are small, and the second one adds the shortcut.
    """
    for name, child in network.named_children():
        if isinstance(child, nn.Conv2d) and _is_wide(child):
            setattr(network, name, WinogradConvolution(child))
        elif not isinstance(child, BasicBlock):
            use_winograd(child)


def _is_wide(convolution: nn.Conv2d) -> bool:
    return (
        convolution.kernel_size == (3, 3)
        and convolution.stride == (1, 1)
        and convolution.padding == (1, 1)
        and convolution.dilation == (1, 1)
        and convolution.groups == 1
        and min(convolution.in_channels, convolution.out_channels) >= MIN_CHANNELS
    )
