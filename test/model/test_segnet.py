# SPDX-License-Identifier: Apache-2.0
"""Segnet's shapes, sizes and behaviour in training and evaluation."""

from __future__ import annotations

import pytest
import torch
from segnet_samples import random_images, ring_rig, small_config
from torch.nn import functional

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import BevGrid
from bev_perception.model import Segnet, SegnetConfig, TapTable, build_tap_table, preset
from bev_perception.model.norm import InstanceNorm
from bev_perception.model.presets import PRESETS
from bev_perception.model.segnet import normalised


def as_tensor(images) -> torch.Tensor:
    """(S, H, W, 3) to (1, S, 3, H, W)."""
    return torch.from_numpy(images).permute(0, 3, 1, 2)[None]


def parameters(module: torch.nn.Module) -> float:
    """Millions."""
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


@pytest.mark.parametrize("stride", [8, 4])
@pytest.mark.parametrize("encoder", ["resnet101", "resnet50", "resnet18", "light"])
def test_every_encoder_gives_every_output(encoder, stride):
    config = small_config(encoder=encoder, feature_stride=stride)
    model = Segnet(config).eval()
    taps = build_tap_table(ring_rig(config.image_size, count=2), config)
    with torch.no_grad():
        output = model(as_tensor(random_images(config, 2)), taps)
    assert output.raw_feature.shape == (1, 6, 21, 18)
    assert output.feature.shape == (1, 6, 21, 18)
    assert output.segmentation.shape == (1, 1, 21, 18)
    assert output.center.shape == (1, 1, 21, 18)
    assert output.offset.shape == (1, 2, 21, 18)
    assert (output.center > 0).all()
    assert (output.center < 1).all()
    assert model.feature_stride == stride
    with torch.no_grad():
        assert model.encode(as_tensor(random_images(config, 2))).shape[-2] == 32 // stride


def test_of_several_classes_each_has_a_channel_and_the_likeliest_decides_occupancy():
    config = small_config(classes=("vehicle", "pedestrian", "two_wheeler"))
    model = Segnet(config).eval()
    with torch.no_grad():
        taps = build_tap_table(ring_rig(config.image_size), config)
        output = model(as_tensor(random_images(config)), taps)
    assert output.segmentation.shape == (1, 3, 21, 18)
    assert output.occupancy.shape == (1, 1, 21, 18)
    torch.testing.assert_close(output.occupancy[:, 0], output.segmentation.sigmoid().amax(1))
    with pytest.raises(ConfigurationError, match="classes"):
        small_config(classes=("vehicle", "tram"))


@pytest.mark.parametrize("shape", [(8, 8), (9, 16), (23, 31)])
def test_any_grid_size_works(shape):
    num_y, num_x = shape
    config = small_config(grid=BevGrid(-5.0, -5.0, 1.0, num_x, num_y))
    model = Segnet(config).eval()
    with torch.no_grad():
        taps = build_tap_table(ring_rig(config.image_size), config)
        output = model(as_tensor(random_images(config)), taps)
    assert output.segmentation.shape == (1, 1, num_y, num_x)


@pytest.fixture(scope="module")
def published() -> Segnet:
    return Segnet(preset("seed"))


def test_resnet101_variant_has_the_published_size(published):
    """ResNet-101 without layer4 has 27.5 M parameters, the published model about 42 M."""
    assert parameters(published.encoder.backbone) == pytest.approx(27.5, abs=0.1)
    assert parameters(published) == pytest.approx(42.0, abs=2.0)


def test_backbone_has_the_names_of_published_checkpoints(published):
    names = set(published.encoder.backbone.state_dict())
    for name in (
        "conv1.weight",
        "bn1.running_mean",
        "layer1.0.downsample.0.weight",
        "layer1.2.conv3.weight",
        "layer2.3.bn3.weight",
        "layer3.22.conv2.weight",
    ):
        assert name in names
    assert not any(name.startswith(("layer4", "fc")) for name in names)
    assert published.encoder.upsampling.conv[0].weight.shape == (512, 1536, 3, 3)


def test_tiny_model_is_tiny():
    assert 1.5 < parameters(Segnet(preset("tiny"))) < 2.5


def test_base_model_stays_far_below_60_mb_in_float16():
    assert 2.0 * parameters(Segnet(preset("base"))) < 15.0


@pytest.mark.parametrize("name", PRESETS)
def test_configuration_survives_its_dictionary(name):
    config = preset(name)
    assert SegnetConfig.from_dict(config.to_dict()) == config


def test_unknown_preset_names_the_known_ones():
    with pytest.raises(ConfigurationError, match=r"'huge'.*tiny"):
        preset("huge")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": "vgg"}, "unknown encoder 'vgg'"),
        ({"image_size": (30, 48)}, "multiples of 16"),
        ({"heights_m": ()}, "heights_m"),
        ({"decoder_widths": (8, 8)}, "decoder_widths"),
        ({"latent_dim": 0}, "latent_dim"),
        ({"grid": BevGrid(0.0, 0.0, 1.0, 40, 7)}, "40 x 7"),
    ],
)
def test_impossible_configurations_are_refused(changes, message):
    with pytest.raises(ConfigurationError, match=message):
        small_config(**changes)


def test_dictionary_with_a_typo_is_refused():
    values = small_config().to_dict()
    values["latent_dims"] = values.pop("latent_dim")
    with pytest.raises(ConfigurationError, match=r"unknown keys \['latent_dims'\]"):
        SegnetConfig.from_dict(values)


def test_dictionary_without_a_grid_is_refused():
    values = small_config().to_dict()
    del values["grid"]
    with pytest.raises(ConfigurationError, match="grid"):
        SegnetConfig.from_dict(values)


def test_uint8_and_float_images_mean_the_same():
    config = small_config()
    model = Segnet(config).eval()
    taps = build_tap_table(ring_rig(config.image_size), config)
    images = as_tensor(random_images(config))
    with torch.no_grad():
        from_bytes, from_floats = model(images, taps), model(images.float(), taps)
    assert torch.equal(from_bytes.segmentation, from_floats.segmentation)


def test_normalisation_is_imagenets():
    white = normalised(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)).flatten()
    expected = torch.tensor([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225])
    torch.testing.assert_close(white, expected)


def test_batch_of_rigs_equals_each_alone():
    config = small_config()
    model = Segnet(config).eval()
    tables = [
        build_tap_table(ring_rig(config.image_size, pitch=pitch), config) for pitch in (0.0, 0.2)
    ]
    images = torch.cat([as_tensor(random_images(config, seed=seed)) for seed in (0, 1)])
    with torch.no_grad():
        together = model(images, TapTable.batch(tables))
        for position, table in enumerate(tables):
            alone = model(images[position : position + 1], table)
            for one, many in zip(alone, together, strict=True):
                if one is not None and many is not None:  # no memory, so no velocity
                    torch.testing.assert_close(one[0], many[position], atol=1e-4, rtol=1e-4)


def test_image_of_a_missing_camera_changes_nothing():
    config = small_config()
    model = Segnet(config).eval()
    taps = build_tap_table(ring_rig(config.image_size), config, (True, True, False, True))
    images = as_tensor(random_images(config))
    black = images.clone()
    black[:, 2] = 0
    with torch.no_grad():
        assert torch.equal(model(images, taps).offset, model(black, taps).offset)


def test_feature_head_can_be_left_out():
    config = small_config()
    taps = build_tap_table(ring_rig(config.image_size), config)
    images = as_tensor(random_images(config))
    model = Segnet(config).eval()
    with torch.no_grad():
        assert model(images, taps, with_feature=False).feature is None
    headless = Segnet(small_config(feature_head=False)).eval()
    with torch.no_grad():
        assert headless(images, taps).feature is None
    assert parameters(headless) < parameters(model)


def test_every_parameter_learns():
    config = small_config()
    torch.manual_seed(0)
    model = Segnet(config).train()
    taps = TapTable.batch([build_tap_table(ring_rig(config.image_size), config)] * 2)
    images = torch.cat([as_tensor(random_images(config, seed=seed)) for seed in (0, 1)])
    generator = torch.Generator().manual_seed(0)
    output = model(images, taps)
    losses = [
        (part * torch.randn(part.shape, generator=generator)).sum()
        for part in output
        if part is not None  # the velocity, of networks with memory
    ]
    torch.stack(losses).sum().backward()
    idle = [name for name, value in model.named_parameters() if value.grad is None]
    assert idle == []
    # Residual branches start at zero by their last norm, so what lies before it waits one step.
    still = {
        name
        for name, value in model.named_parameters()
        if not value.grad.any() and not name.startswith("decoder.layer")
    }
    assert still == set()


def test_bf16_training_step_is_close_to_fp32():
    config = small_config()
    torch.manual_seed(0)
    model = Segnet(config).to(memory_format=torch.channels_last).eval()
    taps = build_tap_table(ring_rig(config.image_size), config)
    images = as_tensor(random_images(config))
    exact = model(images, taps)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model(images, taps)
    assert rounded.segmentation.dtype == torch.float32
    deviation = (exact.segmentation - rounded.segmentation).abs().mean()
    assert deviation < 0.1 * exact.segmentation.std()
    rounded.segmentation.sum().backward()
    assert torch.isfinite(model.encoder.backbone.conv1.weight.grad).all()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("memory", [torch.channels_last, torch.contiguous_format])
def test_instance_norm_is_torchs_in_training_and_evaluation(training, memory):
    generator = torch.Generator().manual_seed(0)
    x = 3.0 * torch.randn(3, 4, 7, 5, generator=generator) + 2.0
    gradient = torch.randn(x.shape, generator=generator)
    ours = x.clone(memory_format=memory).requires_grad_()
    theirs = x.clone().requires_grad_()
    y = InstanceNorm().train(training)(ours)
    expected = functional.instance_norm(theirs)
    torch.testing.assert_close(y, expected, atol=1e-5, rtol=1e-5)
    y.backward(gradient.contiguous(memory_format=memory))
    expected.backward(gradient)
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(InstanceNorm().train(training)(x), y, atol=1e-5, rtol=1e-5)


def test_instance_norm_gradient_is_exact():
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(InstanceNorm(), (x.requires_grad_(),))
