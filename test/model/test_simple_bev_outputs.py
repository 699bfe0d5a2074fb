# SPDX-License-Identifier: Apache-2.0
"""Imported checkpoints answer like the original's formulas do, on random weights."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from segnet_samples import random_images, ring_rig
from simple_bev_original import (
    Outputs,
    Voxels,
    compress,
    decode,
    lift,
    original_outputs,
    random_state,
)

from bev_perception.geometry import BevGrid, PinholeCamera, Rig, RigCamera, RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.model import Segnet, SegnetConfig, SegnetOutput, TapTable, build_tap_table
from bev_perception.model.simple_bev import SimpleBevSetting
from bev_perception.model.simple_bev_layout import read_layout
from bev_perception.model.simple_bev_tensors import segnet_with_tensors

TOLERANCE = 1e-3


def imported(state, image_size, grid: BevGrid, num_y: int = 8) -> Segnet:
    """The imported network on any grid, heights relative to a reference camera at z = 0."""
    layout = read_layout(state, num_y)
    config = SegnetConfig(
        encoder=layout.encoder,
        image_size=image_size,
        heights_m=SimpleBevSetting(camera_position=(0, 0, 0), num_heights=num_y).heights_m,
        grid=grid,
        latent_dim=layout.latent_dim,
        decoder_widths=layout.decoder_widths,
        sampling="simple_bev",
        mirrored_decoder=True,
        sensor=layout.sensor,
    )
    return segnet_with_tensors(state, config)


def in_reference_frame(rig: Rig) -> Rig:
    """The rig with the first camera's body as base: where the original puts its grid."""
    return rig.moved(BODY_T_OPTICAL @ rig[rig.names[0]].base_T_camera.inverse())


def on_our_grid(plane: torch.Tensor) -> torch.Tensor:
    """[row = forward, column = right] to [row = left, column = forward]."""
    return plane.transpose(-1, -2).flip(-2)


def as_tensor(images: np.ndarray) -> torch.Tensor:
    """(S, H, W, 3) to (1, S, 3, H, W)."""
    return torch.from_numpy(images).permute(0, 3, 1, 2)[None]


def assert_same_answers(ours: SegnetOutput, original: Outputs, voxels: Voxels) -> None:
    """All five outputs; offsets by where they say that the centre is."""
    pairs = (
        (ours.raw_feature, original.raw),
        (ours.feature, original.feature),
        (ours.segmentation, original.segmentation),
        (ours.center, original.center),
    )
    for found, expected in pairs:
        difference = (found - on_our_grid(expected)).abs().max()
        assert difference < TOLERANCE, float(difference)
        assert expected.std() > 10 * TOLERANCE  # an answer that says something
    resolution = 2 * voxels.half_m[0] / voxels.num_z
    # The original's offset is twice (cell - centre) in cells, right then forward.
    centre_right, centre_forward = (-resolution / 2 * original.offset).unbind(1)
    expected = torch.stack([centre_forward, -centre_right], dim=1)
    assert (ours.offset - on_our_grid(expected)).abs().max() < TOLERANCE
    assert expected.std() > 10 * TOLERANCE


CASES = {
    "resnet101": {"encoder": "resnet101"},
    "resnet50": {},
    "radar": {"sensor": "radar"},
    "radar_features": {"sensor": "radar_features"},
    "lidar": {"sensor": "lidar"},
    "four heights": {"num_y": 4},
}


@pytest.mark.parametrize(
    ("case", "cells"), [*((case, (21, 18)) for case in CASES), ("resnet50", (24, 16))]
)
@torch.no_grad()
def test_a_batch_of_tilted_rigs_gives_the_original_answers(case, cells):
    """Reference cameras with roll and pitch; a grid that is no square and no multiple of 8."""
    num_forward, num_right = cells
    voxels = Voxels(
        num_forward, CASES[case].get("num_y", 8), num_right, (num_forward / 2, num_right / 2)
    )
    grid = BevGrid(-num_forward / 2, -num_right / 2, 1.0, num_forward, num_right)
    state = random_state(**CASES[case])
    model = imported(state, (32, 48), grid, voxels.num_y)
    rigs = [ring_rig((32, 48), count=3, pitch=pitch, horizontal_deg=130.0) for pitch in (0.1, 0.25)]
    images = torch.cat([as_tensor(random_images(model.config, 3, seed)) for seed in (1, 2)])
    taps = [build_tap_table(in_reference_frame(rig), model.config) for rig in rigs]
    sensor, sensor_map = random_sensor(model.config, voxels)
    original = original_outputs(state, images / 255.0, rigs, voxels, sensor)
    ours = model(images, TapTable.batch(taps), sensor_map=sensor_map)
    assert_same_answers(ours, original, voxels)


def random_sensor(config: SegnetConfig, voxels: Voxels):
    """A sparse volume (2, F, Z, Y, X) and the same as our sensor map; None, None without."""
    if config.sensor == "none":
        return None, None
    count = 16 if config.sensor == "radar_features" else 1
    generator = torch.Generator().manual_seed(5)
    shape = (2, count, voxels.num_z, voxels.num_y, voxels.num_x)
    volume = torch.rand(shape, generator=generator)
    volume = torch.where(volume > 0.9, volume, 0.0)
    if count == 1:
        volume = (volume > 0).float()
    upwards = volume.permute(0, 3, 1, 2, 4).flip(1)  # (B, height, F, forward, right)
    upwards = upwards.amax(1) if config.sensor == "radar" else upwards.flatten(1, 2)
    return volume, on_our_grid(upwards)


@torch.no_grad()
def test_grid_centred_below_a_level_camera_that_looks_ahead_has_the_original_cells():
    """With SimpleBevSetting and mountings in base_link, nothing to be moved."""
    camera = PinholeCamera.from_field_of_view(64, 48, 110.0)
    position = (1.7, 0.25, 1.5)
    mountings = {
        "front": RigidTransform.from_euler(translation=position),
        "left": RigidTransform.from_euler(yaw=math.pi / 2, pitch=0.1, translation=(1.0, 0.8, 1.6)),
    }
    rig = Rig({name: RigCamera(camera, body @ BODY_T_OPTICAL) for name, body in mountings.items()})
    setting = SimpleBevSetting((48, 64), 12.0, 1.0, position)
    state = random_state()
    model = imported(state, setting.image_size, setting.grid)
    model.config = replace(model.config, heights_m=setting.heights_m)
    voxels = Voxels(24, 8, 24, (12.0, 12.0))
    images = as_tensor(random_images(model.config, 2))
    ours = model(images, build_tap_table(rig, model.config))
    assert_same_answers(ours, original_outputs(state, images / 255.0, [rig], voxels), voxels)


SETTINGS = {
    "seed": (4, (448, 672), Voxels(400, 8, 400, (50.0, 50.0)), 0.25),
    "nuscenes": (6, (448, 800), Voxels(200, 8, 200, (50.0, 50.0)), 0.5),
}


@pytest.mark.parametrize("name", SETTINGS)
@torch.no_grad()
def test_lift_and_decoder_at_the_published_sizes(name):
    """Narrow, on random features; the whole networks are the slow test below."""
    cameras, image_size, voxels, resolution = SETTINGS[name]
    state = random_state(latent=4)
    model = imported(state, image_size, BevGrid.centered(50.0, resolution))
    rig = ring_rig(image_size, count=cameras)
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(1, cameras, 4, *model.config.feature_shape, generator=generator)
    taps = build_tap_table(in_reference_frame(rig), model.config)
    volume = lift(features[0], rig, image_size, voxels)[None]
    original = decode(state, compress(state, volume, None))
    assert_same_answers(model.decode(model.lift(features, taps)), original, voxels)


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
@torch.no_grad()
def test_whole_resnet101_at_the_published_sizes(name):
    cameras, image_size, voxels, resolution = SETTINGS[name]
    state = random_state("resnet101", latent=128, widths=(64, 128, 256))
    model = imported(state, image_size, BevGrid.centered(50.0, resolution))
    rig = ring_rig(image_size, count=cameras)
    images = as_tensor(random_images(model.config, cameras))
    original = original_outputs(state, images / 255.0, [rig], voxels)
    ours = model(images, build_tap_table(in_reference_frame(rig), model.config))
    assert_same_answers(ours, original, voxels)


@torch.no_grad()
def test_the_quirk_is_what_makes_the_answers_equal():
    """Sampled exactly, the same weights answer otherwise."""
    voxels = Voxels(24, 8, 16, (12.0, 8.0))
    state = random_state()
    model = imported(state, (48, 64), BevGrid(-12.0, -8.0, 1.0, 24, 16))
    rig = ring_rig((48, 64), count=3)
    images = as_tensor(random_images(model.config, 3))
    exact = replace(model.config, sampling="exact")
    ours = model(images, build_tap_table(in_reference_frame(rig), exact))
    original = original_outputs(state, images / 255.0, [rig], voxels)
    assert (ours.segmentation - on_our_grid(original.segmentation)).abs().max() > 0.1
