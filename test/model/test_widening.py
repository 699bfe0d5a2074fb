# SPDX-License-Identifier: Apache-2.0
"""Larger networks begin with what smaller ones answer, and their copies learn different things."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import BevGrid
from bev_perception.model import Segnet, SegnetConfig
from bev_perception.model.adaptation import adapted

NARROW = SegnetConfig(
    encoder="light",
    image_size=(48, 64),
    heights_m=(0.0, 1.0),
    grid=BevGrid.centered(8.0, 1.0),
    latent_dim=6,
    decoder_widths=(8, 8, 8),
    light_widths=(4, 6, 8),
    feature_head=False,
)
WIDER = {
    "twice": replace(NARROW, light_widths=(8, 12, 16)),
    "by any number": replace(NARROW, light_widths=(5, 17, 8)),
    "ResNet-18": replace(NARROW, encoder="resnet18"),
}
FINER = replace(NARROW, feature_stride=4)


def trained_network(config: SegnetConfig = NARROW) -> Segnet:
    """With norms, their running means and details that are not those of a new network."""
    torch.manual_seed(0)
    model = Segnet(config)
    if model.encoder.refinement is not None:
        torch.nn.init.normal_(model.encoder.refinement.to_details.weight)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for values in (module.weight, module.bias, module.running_mean):
                values.data.add_(0.3 * torch.randn_like(values))
            module.running_var.uniform_(0.5, 2.0)
    return model


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("feature_stride", [8, 4])
@pytest.mark.parametrize("wide", WIDER.values(), ids=WIDER)
def test_a_wider_encoder_answers_as_the_narrow_one(wide, feature_stride, training):
    narrow = trained_network(replace(NARROW, feature_stride=feature_stride))
    wide = replace(wide, feature_stride=feature_stride)
    grown = adapted(narrow, wide).train(training)
    images = torch.rand(3, 3, 48, 64)
    assert grown.config == wide
    assert grown.encoder.backbone.out_channels[0] > narrow.encoder.backbone.out_channels[0]
    expected = narrow.train(training).encoder(images)
    torch.testing.assert_close(grown.encoder(images), expected, rtol=1e-3, atol=2e-4)
    others = [name for name in narrow.state_dict() if not name.startswith("encoder.")]
    assert others
    for name in others:
        assert torch.equal(grown.state_dict()[name], narrow.state_dict()[name])


def test_weights_keep_their_size_so_that_learning_rates_still_fit():
    narrow, grown = trained_network(), adapted(trained_network(), WIDER["ResNet-18"])
    before, after = (
        model.encoder.backbone.layer3[1].conv2.weight.detach().square().sum((1, 2, 3)).mean()
        for model in (narrow, grown)
    )
    assert float(after) == pytest.approx(float(before), rel=0.1)


def test_copies_of_a_channel_learn_different_things_from_the_first_step():
    grown = adapted(trained_network(), WIDER["twice"]).train()
    torch.manual_seed(1)
    grown.encoder(torch.rand(3, 3, 48, 64)).square().sum().backward()
    for convolution in (grown.encoder.backbone.conv1, grown.encoder.backbone.layer2[0].conv1):
        gradient = convolution.weight.grad
        one, other = (half.flatten(1) for half in gradient.chunk(2))
        likeness = torch.cosine_similarity(one, other).mean()
        assert abs(likeness) < 0.7, likeness


def test_finer_cells_begin_with_the_coarse_ones():
    grid = BevGrid.centered(8.0, 0.5)
    coarse, finer = trained_network(), replace(NARROW, grid=grid, decoder_stride=2)
    grown = adapted(coarse, finer).eval()
    assert grown.config == finer
    plane = torch.rand(2, 6, 32, 32)
    pooled = torch.nn.functional.avg_pool2d(plane, 2)
    expected = torch.nn.functional.interpolate(
        coarse.eval().decoder(pooled), scale_factor=2.0, mode="bilinear"
    )
    found = grown.decoder(plane)
    torch.testing.assert_close(found, expected)
    found.square().sum().backward()
    assert grown.decoder.refinement.to_details.weight.grad.abs().min() > 0
    with pytest.raises(ConfigurationError, match="even numbers of cells for decoder_stride 2"):
        replace(finer, grid=BevGrid(-8.0, -8.0, 0.5, 32, 31))


@pytest.mark.parametrize("encoder", ["light", "resnet18"])
def test_finer_features_begin_with_the_coarse_ones(encoder):
    coarse, finer = trained_network(), replace(FINER, encoder=encoder)
    grown = adapted(coarse, finer).train()
    images = torch.rand(3, 3, 48, 64)
    assert grown.config == finer
    expected = torch.nn.functional.interpolate(
        coarse.train().encoder(images), scale_factor=2.0, mode="bilinear"
    )
    features = grown.encoder(images)
    torch.testing.assert_close(features, expected, rtol=1e-3, atol=2e-4)
    assert features.shape[-2:] == finer.feature_shape == (12, 16)
    features.square().sum().backward()
    assert grown.encoder.refinement.to_details.weight.grad.abs().min() > 0  # else none ever come


@pytest.mark.parametrize(
    "other",
    [
        replace(NARROW, light_widths=(8, 5, 16)),
        replace(NARROW, encoder="resnet50"),
        replace(WIDER["twice"], latent_dim=8),
    ],
)
def test_what_cannot_be_widened_is_named(other):
    with pytest.raises(ConfigurationError, match=r"may differ, .* may become wider"):
        adapted(trained_network(), other)


def test_details_are_not_thrown_away():
    with pytest.raises(ConfigurationError, match="feature_stride 4 there, 8 here"):
        adapted(trained_network(FINER), NARROW)
    with pytest.raises(ConfigurationError, match="decoder_stride 2 there, 1 here; only"):
        adapted(trained_network(replace(NARROW, decoder_stride=2)), FINER)
