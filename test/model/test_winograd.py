# SPDX-License-Identifier: Apache-2.0
"""Winograd's convolution is the direct one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from segnet_samples import small_config
from torch import nn

from bev_perception.model import Segnet, winograd
from bev_perception.model.fused_convolutions import fuse_convolutions
from bev_perception.model.inference_form import InferenceSegnet
from bev_perception.model.winograd import WinogradConvolution, use_winograd


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (5, 7), (18, 21), (40, 3)])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("strip", [1, 1 << 19])
def test_equals_the_direct_sum(shape, bias, strip, monkeypatch):
    monkeypatch.setattr(winograd, "_STRIP", strip)
    torch.manual_seed(0)
    direct = nn.Conv2d(7, 5, 3, padding=1, bias=bias).requires_grad_(False)
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
    assert kinds == [True, False, True, False, False]


@pytest.mark.parametrize("encoder", ["resnet50", "resnet18"])
def test_a_wide_network_answers_the_same(encoder):
    torch.manual_seed(0)
    config = replace(small_config(), encoder=encoder, latent_dim=128)
    model = Segnet(config).eval().requires_grad_(False)
    direct, fast = InferenceSegnet(model), InferenceSegnet(model)
    fast.cast("cpu", torch.float32)
    use_winograd(fast)
    fuse_convolutions(fast)
    assert any(isinstance(layer, WinogradConvolution) for layer in fast.modules())
    images = torch.randint(0, 256, (2, *config.image_size, 3), dtype=torch.uint8)
    torch.testing.assert_close(fast.encode(images), direct.encode(images), atol=1e-3, rtol=1e-3)
