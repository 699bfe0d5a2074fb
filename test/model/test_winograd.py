# SPDX-License-Identifier: Apache-2.0
"""Winograd's convolution is the direct one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bev_perception.model import winograd
from bev_perception.model.winograd import WinogradConvolution, use_winograd


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (5, 7), (18, 21), (40, 3)])
@pytest.mark.parametrize("strip", [1, 1 << 19])
def test_equals_the_direct_sum(shape, strip, monkeypatch):
    monkeypatch.setattr(winograd, "_STRIP", strip)
    torch.manual_seed(0)
    direct = nn.Conv2d(7, 5, 3, padding=1, bias=False).requires_grad_(False)
    x = torch.randn(2, 7, *shape).contiguous(memory_format=torch.channels_last)
    found = WinogradConvolution(direct)(x)
    torch.testing.assert_close(found, direct(x), atol=2e-5, rtol=1e-5)
    assert found.shape == (2, 5, *shape)


def test_kernels_of_other_kinds_stay():
    wide = {"padding": 1, "bias": False}
    network = nn.Sequential(
        nn.Conv2d(128, 128, 3, **wide),
        nn.Conv2d(128, 128, 3, stride=2, **wide),
        nn.Conv2d(128, 128, 3, padding=1),
        nn.Conv2d(128, 128, 1, bias=False),
        nn.Conv2d(64, 128, 3, **wide),
    )
    use_winograd(network)
    kinds = [isinstance(layer, WinogradConvolution) for layer in network]
    assert kinds == [True, False, False, False, False]
