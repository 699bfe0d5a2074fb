# SPDX-License-Identifier: Apache-2.0
"""Every lift against loops that one can read, and the laws that all of them obey."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from segnet_samples import LENSES, random_images, ring_rig, small_config
from torch.nn import functional

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import BevGrid, Rig, RigCamera, RigidTransform
from bev_perception.model import (
    LIFTS,
    LiftSettings,
    Segnet,
    SegnetConfig,
    build_lift_geometry,
    build_tap_table,
    lift,
    load_weights,
    save_weights,
    shipped_weights,
)
from bev_perception.model.depth_lift import splat_features
from bev_perception.model.lift_geometry import batched
from bev_perception.model.lift_reference import reference_lift

SETTINGS = LiftSettings(depth_m=(0.5, 12.5), depth_bins=9, heads=2, points=3, layers=2, bands=3)


def config_of(name: str, **changes) -> SegnetConfig:
    return small_config(lift=name, lift_settings=SETTINGS, **changes)


def network(config: SegnetConfig, seed: int = 0) -> Segnet:
    """With weights that are all random, those that begin as zeros included."""
    torch.manual_seed(seed)
    model = Segnet(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def random_features(config: SegnetConfig, cameras: int = 4, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (1, cameras, config.latent_dim, *config.feature_shape)
    return torch.randn(shape, generator=generator)


def random_rig(config: SegnetConfig, lens: str, seed: int) -> Rig:
    """A ring whose cameras are turned and moved at random."""
    random = np.random.default_rng(seed)
    cameras = {}
    for name, entry in ring_rig(config.image_size, lens=lens).cameras.items():
        shake = RigidTransform.from_euler(*random.normal(0, 0.15, 3), random.normal(0, 0.3, 3))
        cameras[name] = RigCamera(entry.camera, shake @ entry.base_T_camera)
    return Rig(cameras)


def plane_of(model: Segnet, features: torch.Tensor, rig: Rig, present=None) -> torch.Tensor:
    """What the lift gives before the compressor, (C, Y, X)."""
    geometry = build_lift_geometry(rig, model.config, present)
    if model.lifting is None:
        return lift(features, geometry)[0]
    return model.lifting(features, geometry)[0]


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("present", [None, (True, False, False, False), (False,) * 4])
@torch.no_grad()
def test_depth_equals_loops_over_the_points_of_all_rays(lens, present):
    config = config_of("depth")
    grid, step = config.grid, SETTINGS.depth_step_m
    model, rig = network(config), random_rig(config, lens, seed=3)
    features = random_features(config)
    shares = model.lifting.depth_logits(features).softmax(dim=2).double()[0]
    expected = torch.zeros(config.latent_dim, *grid.shape, dtype=torch.float64)
    for position, entry in enumerate(rig.cameras.values()):
        for row, column, number in np.ndindex(*config.feature_shape, SETTINGS.depth_bins):
            ray = entry.camera.unproject((8 * column + 3.5, 8 * row + 3.5))
            if (present and not present[position]) or not np.isfinite(ray).all():
                continue
            x, y, z = entry.base_T_camera.apply(ray * (0.5 + (number + 0.5) * step))
            if -3.0 <= z < 5.0 and -9.0 <= x < 9.0 and -10.5 <= y < 10.5:
                feature = features[0, position, :, row, column].double()
                share = shares[position, number, row, column]
                expected[:, math.floor(y + 10.5), math.floor(x + 9.0)] += share * feature
    found = plane_of(model, features, rig, present)
    assert (found - expected).abs().max() < 1e-5
    assert bool(expected.any()) == (present is None or any(present))


@torch.no_grad()
def test_depth_that_is_certain_puts_a_feature_into_the_cell_of_its_point():
    config = config_of("depth")
    rig = random_rig(config, "plumb_bob", seed=1)
    entry = rig["camera2"]
    depth = SETTINGS.depth_m[0] + 5.5 * SETTINGS.depth_step_m
    point = entry.base_T_camera.apply(entry.camera.unproject((8 * 3 + 3.5, 8 * 2 + 3.5)) * depth)
    features = torch.zeros(1, 4, 6, 4, 6)
    features[0, 2, :, 2, 3] = torch.arange(1.0, 7.0)
    certain = functional.one_hot(torch.full((1, 4, 4, 6), 5), 9).permute(0, 1, 4, 2, 3).float()
    plane = splat_features(features, certain, build_lift_geometry(rig, config))[0]
    row, column = np.round(config.grid.to_cells(point[:2])).astype(int)
    assert torch.equal(plane[:, row, column], torch.arange(1.0, 7.0))
    assert plane.count_nonzero() == 6


@pytest.mark.parametrize("lens", LENSES)
@torch.no_grad()
def test_attention_equals_loops_over_cells_heights_cameras_and_points(lens):
    config = config_of("attention")
    model, rig = network(config).double(), random_rig(config, lens, seed=5)
    features = random_features(config).double()
    look = model.lifting.rounds[0]
    queries = model.lifting.embed(model.lifting.encoding)
    found = look(queries, features, build_lift_geometry(rig, config))
    values = look.to_values(features[0])
    num_y, num_x = config.grid.shape
    seen = 0
    for cell in range(0, num_y * num_x, 5):
        query = queries[cell]
        scores = look.to_scores(query).view(2, 2, 3)  # (heights, heads, points)
        offsets = look.to_offsets(query).view(2, 2, 3, 2)
        keys = look.to_keys(query).view(2, 3)
        heads = []
        for head in range(2):
            logits, samples = [], []
            for level, z in enumerate(config.heights_m):
                x, y = config.grid.cell_centers[cell // num_x, cell % num_x]
                for camera, entry in enumerate(rig.cameras.values()):
                    pixel, valid = entry.project(np.array([x, y, z]))
                    if not (valid and entry.camera.contains(pixel)):
                        continue
                    place = np.clip((pixel + 0.5) / 8 - 0.5, 0, (5, 3))
                    for number in range(3):
                        at = place + offsets[level, head, number].numpy()
                        value = _bilinear(values[camera, 3 * head : 3 * head + 3], *at)
                        samples.append(value)
                        logits.append(
                            keys[head] @ value / math.sqrt(3) + scores[level, head, number]
                        )
            if samples:
                heads.append(torch.stack(logits).softmax(0) @ torch.stack(samples))
        seen += len(heads)
        together = torch.cat(heads) if heads else torch.zeros(6, dtype=torch.float64)
        assert (found[cell] - look.output(together)).abs().max() < 1e-5
    assert seen > 50


def _bilinear(maps: torch.Tensor, x: float, y: float) -> torch.Tensor:
    rows, columns = maps.shape[1:]
    x, y = min(max(x, 0.0), columns - 1.0), min(max(y, 0.0), rows - 1.0)
    left, top = math.floor(x), math.floor(y)
    right, bottom = min(left + 1, columns - 1), min(top + 1, rows - 1)
    upper = maps[:, top, left] * (left + 1 - x) + maps[:, top, right] * (x - left)
    lower = maps[:, bottom, left] * (left + 1 - x) + maps[:, bottom, right] * (x - left)
    return upper * (top + 1 - y) + lower * (y - top)


@torch.no_grad()
def test_attention_that_weighs_evenly_at_the_projected_points_is_bilinears_mean():
    config = small_config(
        lift="attention", heights_m=(0.4,), lift_settings=replace(SETTINGS, points=1)
    )
    model = Segnet(config).eval()
    look = model.lifting.rounds[0]
    for part in (look.to_values, look.to_keys, look.output, look.to_scores, look.to_offsets):
        part.weight.zero_()
        part.bias.zero_()
    look.to_values.weight += torch.eye(6)[..., None, None]
    look.output.weight += torch.eye(6)
    rig, features = ring_rig(config.image_size, 6, horizontal_deg=110.0), random_features(config, 6)
    queries = torch.zeros(18 * 21, 6)
    found = look(queries, features, build_lift_geometry(rig, config))
    plain = replace(config, lift="bilinear")
    expected = lift(features, build_tap_table(rig, plain))[0].flatten(1).T
    assert (found - expected).abs().max() < 1e-5


@torch.no_grad()
def test_ground_is_bilinear_at_height_zero():
    config, flat = config_of("ground"), small_config(heights_m=(0.0,))
    assert config.heights_m == (0.0,)
    rig, features = random_rig(config, "fisheye", 2), random_features(config)
    expected = lift(features, build_tap_table(rig, flat))[0]
    assert torch.equal(plane_of(network(config), features, rig), expected)
    slow = reference_lift(features[0].double(), rig, flat)
    assert (expected - slow).abs().max() < 1e-4


@torch.no_grad()
def test_late_fusion_takes_the_largest_of_what_cameras_say_alone():
    config = config_of("ground_late")
    model, rig = network(config), random_rig(config, "plumb_bob", 4)
    features = random_features(config)
    flat, said = small_config(heights_m=(0.0,)), []
    for position in range(4):
        alone = [index == position for index in range(4)]
        seen = build_tap_table(rig, flat, alone).seen
        plane = reference_lift(features[0].double(), rig, flat, alone).float()
        judged = model.lifting.judge(plane[None])[0]
        said.append(torch.where(torch.from_numpy(seen), judged, -torch.inf))
    most = torch.stack(said).amax(0)
    expected = torch.where(most.isinf(), 0.0, most)
    assert (plane_of(model, features, rig) - expected).abs().max() < 1e-4


@pytest.mark.parametrize("name", LIFTS)
@torch.no_grad()
def test_the_order_of_cameras_and_absent_ones_change_nothing(name):
    config = config_of(name)
    model, rig = network(config), random_rig(config, "plumb_bob", 7)
    features = random_features(config)
    whole = plane_of(model, features, rig)
    order = [2, 0, 3, 1]
    turned = rig.subset([rig.names[index] for index in order])
    assert (plane_of(model, features[:, order], turned) - whole).abs().max() < 1e-5
    kept = [0, 2, 3]
    without = plane_of(model, features[:, kept], rig.subset([rig.names[index] for index in kept]))
    spoilt = features.clone()
    spoilt[:, 1] = 1e4
    missing = plane_of(model, spoilt, rig, (True, False, True, True))
    assert (missing - without).abs().max() < 1e-5
    assert (missing - whole).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["ground_late", "depth", "attention"])
@torch.no_grad()
def test_a_batch_is_its_moments_one_by_one(name):
    config = config_of(name)
    model = network(config)
    rigs = [random_rig(config, "none", seed) for seed in (0, 1)]
    flags = [None, (True, True, False, True)]
    images = torch.from_numpy(np.stack([random_images(config, seed=seed) for seed in (0, 1)]))
    images = images.permute(0, 1, 4, 2, 3)
    geometries = [build_lift_geometry(rig, config, flag) for rig, flag in zip(rigs, flags)]
    together = model(images, batched(geometries))
    for index, geometry in enumerate(geometries):
        alone = model(images[index : index + 1], geometry)
        assert (together.offset[index] - alone.offset[0]).abs().max() < 1e-4


@pytest.mark.parametrize("name", ["ground_late", "depth", "attention"])
def test_gradients_are_those_of_the_function(name):
    settings = LiftSettings(depth_m=(0.5, 6.5), depth_bins=3, heads=2, points=2, bands=2)
    config = small_config(
        image_size=(16, 16),
        grid=BevGrid.centered(4.0, 1.0),
        latent_dim=2,
        lift=name,
        lift_settings=settings,
        heights_m=(0.0, 1.0),
    )
    model = network(config).double()
    geometry = build_lift_geometry(ring_rig((16, 16), 3), config)
    features = random_features(config, 3).double().requires_grad_()
    parameters = list(model.lifting.parameters())

    def lifted(features: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        return model.lifting(features, geometry)

    assert torch.autograd.gradcheck(lifted, (features, *parameters), fast_mode=True)


@pytest.mark.parametrize("name", ["ground_late", "depth", "attention"])
def test_every_parameter_of_a_lift_learns(name):
    config = config_of(name)
    model = network(config).train()
    geometry = build_lift_geometry(random_rig(config, "none", 0), config, backward=True)
    images = torch.from_numpy(random_images(config))[None].permute(0, 1, 4, 2, 3)
    output = model(images.repeat(2, 1, 1, 1, 1), batched([geometry, geometry]))
    output.offset.square().sum().backward()
    parameters = model.lifting.named_parameters()
    assert not [key for key, part in parameters if part.grad is None or not part.grad.any()]


@pytest.mark.parametrize("name", LIFTS)
def test_weights_say_which_lift_they_are_for(name, tmp_path):
    model = network(config_of(name))
    save_weights(tmp_path / "some.safetensors", model)
    again, _ = load_weights(tmp_path / "some.safetensors")
    assert again.config == model.config
    torch.testing.assert_close(again.state_dict(), model.state_dict(), rtol=0, atol=0)


def test_weights_from_before_there_were_lifts_have_the_bilinear_one():
    model, _ = load_weights(shipped_weights())
    assert (model.config.lift, model.config.virtual_cameras) == ("bilinear", ())
    assert "lift" not in model.config.to_dict()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"lift": "magic"}, "unknown lift 'magic', expected one of bilinear, ground"),
        ({"lift": "depth", "sampling": "simple_bev"}, "sampling simple_bev is the lift bilinear's"),
        ({"lift": "attention", "latent_dim": 7}, "divides latent_dim by its heads, got 7 and 4"),
        ({"lift": "ground", "sensor": "lidar"}, "knows one height alone .* got sensor lidar"),
        ({"lift": "ground_late", "sensor": "radar"}, "knows one height alone .* sensor radar"),
    ],
)
def test_configurations_that_make_no_lift_are_refused(changes, reason):
    with pytest.raises(ConfigurationError, match=reason):
        small_config(**changes)
