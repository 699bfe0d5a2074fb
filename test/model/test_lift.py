# SPDX-License-Identifier: Apache-2.0
"""The table-driven lift against the slow one, and against formulas written by hand."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from segnet_samples import LENSES, ring_rig, small_config

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import BevGrid, PinholeCamera, Rig, RigCamera, RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.model import TapTable, build_tap_table, lift
from bev_perception.model.lift_reference import reference_lift

CONFIG = small_config(
    image_size=(64, 96), grid=BevGrid(-12.0, -10.0, 0.5, 46, 41), heights_m=(-0.5, 0.0, 2.5)
)


def random_features(cameras: int, config=CONFIG, channels: int = 5, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, cameras, channels, *config.feature_shape, generator=generator)


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("present", [None, (True, False, True, True), (False,) * 4])
def test_equals_the_slow_lift(lens, present):
    rig = ring_rig(CONFIG.image_size, lens=lens)
    features = random_features(4)
    fast = lift(features, build_tap_table(rig, CONFIG, present))
    slow = reference_lift(features[0].double(), rig, CONFIG, present)
    assert fast.shape == (1, 15, 41, 46)
    assert (fast[0] - slow).abs().max() < 1e-4
    assert bool(slow.any()) == (present is None or any(present))


def test_overlapping_cameras_are_averaged():
    rig = ring_rig(CONFIG.image_size, count=6, horizontal_deg=110.0)
    features = random_features(6)
    table = build_tap_table(rig, CONFIG)
    sightings = table.forward.offsets.diff() // 4
    assert (sightings == 2).any()
    slow = reference_lift(features[0].double(), rig, CONFIG)
    assert (lift(features, table)[0] - slow).abs().max() < 1e-4


def test_camera_that_sees_no_voxel_changes_nothing():
    rig = ring_rig(CONFIG.image_size, count=2)
    upwards = RigidTransform.from_euler(0.0, -math.pi / 2, 0.0, (0.0, 0.0, 30.0))
    cameras = dict(rig.cameras)
    cameras["sky"] = RigCamera(rig["camera0"].camera, upwards @ BODY_T_OPTICAL)
    features = random_features(3)
    with_sky = lift(features, build_tap_table(Rig(cameras), CONFIG))
    assert torch.equal(with_sky, lift(features[:, :2], build_tap_table(rig, CONFIG)))


def test_six_cameras_of_a_real_vehicle(shared_keyframe: Path):
    from bev_perception.bags import BagReader

    with BagReader(shared_keyframe) as reader:
        real = reader.rig()
    config = small_config(image_size=(224, 400), grid=BevGrid.centered(50.0, 1.0))
    rig = Rig({name: real[name].resized(400, 224) for name in real.names})
    features = random_features(6, config)
    table = build_tap_table(rig, config)
    slow = reference_lift(features[0].double(), rig, config)
    assert (lift(features, table)[0] - slow).abs().max() < 1e-4
    assert table.seen.mean() > 0.95


@pytest.mark.parametrize("stride", [8, 4])
def test_equals_bilinear_interpolation_by_hand(stride):
    """One camera at the origin, x forward: u = cx - fx * y / x, v = cy - fy * z / x."""
    camera = PinholeCamera.from_intrinsics(96, 64, 40.0, 45.0, 47.0, 30.0)
    rig = Rig({"front": RigCamera(camera, BODY_T_OPTICAL)})
    config = replace(CONFIG, feature_stride=stride)
    features = random_features(1, config)
    result = lift(features, build_tap_table(rig, config))[0]
    maps, seen = features[0, 0].numpy(), 0
    for row, y in enumerate(CONFIG.grid.y_centers):
        for column, x in enumerate(CONFIG.grid.x_centers):
            for level, z in enumerate(CONFIG.heights_m):
                expected = np.zeros(5)
                if x > 0:
                    u, v = 47.0 - 40.0 * y / x, 30.0 - 45.0 * z / x
                    if -0.5 <= u <= 95.5 and -0.5 <= v <= 63.5:
                        expected, seen = (
                            _bilinear(maps, (u + 0.5) / stride - 0.5, (v + 0.5) / stride - 0.5),
                            1,
                        )
                found = result[5 * level : 5 * level + 5, row, column].numpy()
                np.testing.assert_allclose(found, expected, atol=1e-4)
    assert seen


def _bilinear(maps: np.ndarray, x: float, y: float) -> np.ndarray:
    rows, columns = maps.shape[1:]
    x, y = min(max(x, 0.0), columns - 1.0), min(max(y, 0.0), rows - 1.0)
    left, top = math.floor(x), math.floor(y)
    right, bottom = min(left + 1, columns - 1), min(top + 1, rows - 1)
    upper = maps[:, top, left] * (left + 1 - x) + maps[:, top, right] * (x - left)
    lower = maps[:, bottom, left] * (left + 1 - x) + maps[:, bottom, right] * (x - left)
    return upper * (top + 1 - y) + lower * (y - top)


@pytest.mark.parametrize("stride", [8, 4])
def test_feature_cells_that_hold_their_pixel_position_return_the_projection(stride):
    """A feature map of coordinates, lifted, is the pixel: no half-cell shift anywhere."""
    rig = ring_rig(CONFIG.image_size, count=1, lens="plumb_bob")
    config = replace(CONFIG, feature_stride=stride)
    rows, columns = config.feature_shape
    v, u = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    features = (torch.stack([u, v])[None, None] + 0.5) * stride - 0.5
    result = lift(features.float(), build_tap_table(rig, config))[0].numpy()
    for level, z in enumerate(CONFIG.heights_m):
        points = np.concatenate(
            [CONFIG.grid.cell_centers, np.full((*CONFIG.grid.shape, 1), z)], axis=-1
        )
        pixels, valid = rig["camera0"].project(points)
        interior = valid & (pixels >= 3.5).all(-1) & (pixels <= (91.5, 59.5)).all(-1)
        assert interior.sum() > 20
        found = result[2 * level : 2 * level + 2].transpose(1, 2, 0)
        np.testing.assert_allclose(found[interior], pixels[interior], atol=1e-3)


def test_visibility_does_not_depend_on_features():
    table = build_tap_table(ring_rig(CONFIG.image_size), CONFIG)
    assert table.seen.shape == (41, 46)
    ones = lift(torch.ones(1, 4, 1, *CONFIG.feature_shape), table)[0]
    np.testing.assert_array_equal(ones.amax(0).numpy() > 0.5, table.seen)
    assert ones[ones > 0].sub(1.0).abs().max() < 1e-6


def test_table_does_not_depend_on_how_many_voxels_are_projected_at_a_time(monkeypatch):
    rig = ring_rig(CONFIG.image_size)
    whole = build_tap_table(rig, CONFIG)
    monkeypatch.setattr("bev_perception.model.tap_builder.CHUNK", 1000)
    parts = build_tap_table(rig, CONFIG)
    assert torch.equal(whole.forward.offsets, parts.forward.offsets)
    assert torch.equal(whole.forward.indices, parts.forward.indices)
    assert torch.equal(whole.forward.weights, parts.forward.weights)


@pytest.mark.parametrize("present", [None, (False, True, False, False)])
def test_a_table_keeps_no_more_memory_than_it_tells(present):
    rig = ring_rig(CONFIG.image_size)
    build_tap_table(rig, CONFIG, present)  # what modules keep for good
    tracemalloc.start()
    try:
        table = build_tap_table(rig, CONFIG, present)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert table.num_bytes < kept < table.num_bytes + 30_000


def test_missing_cameras_leave_their_columns_unseen():
    rig = ring_rig(CONFIG.image_size, horizontal_deg=80.0)
    table = build_tap_table(rig, CONFIG, (True, False, False, False))
    ahead = CONFIG.grid.x_centers > 6.0
    centre_row = CONFIG.grid.num_y // 2
    assert table.seen[centre_row, ahead].all()
    assert not table.seen[:, CONFIG.grid.x_centers < 0.0].any()


def test_gradient_is_the_transposed_table():
    config = small_config(image_size=(16, 32), grid=BevGrid(-4.0, -4.5, 1.0, 8, 9))
    table = build_tap_table(ring_rig(config.image_size, count=3), config)
    features = random_features(3, config, channels=2).double().requires_grad_()
    # The table's weights are float32; the function is linear, so the check is exact for them.
    assert torch.autograd.gradcheck(lambda x: lift(x, table), (features,))


@pytest.mark.parametrize("prepared", [True, False])
def test_batched_gradient_equals_autograd_of_the_slow_lift(prepared):
    rigs = [ring_rig(CONFIG.image_size, pitch=pitch) for pitch in (0.0, 0.2)]
    tables = [build_tap_table(rig, CONFIG, backward=prepared) for rig in rigs]
    features = torch.cat([random_features(4, seed=seed) for seed in (0, 1)])
    fast = features.clone().requires_grad_()
    slow = features.double().requires_grad_()
    weights = torch.randn(2, 15, 41, 46, generator=torch.Generator().manual_seed(3))
    (lift(fast, TapTable.batch(tables)) * weights).sum().backward()
    lifted = torch.stack([reference_lift(slow[i], rig, CONFIG) for i, rig in enumerate(rigs)])
    (lifted * weights).sum().backward()
    assert (fast.grad - slow.grad).abs().max() < 1e-3 * slow.grad.abs().max()


def test_batch_of_rigs_equals_each_alone():
    tables = [
        build_tap_table(ring_rig(CONFIG.image_size, pitch=pitch), CONFIG, present)
        for pitch, present in ((0.0, None), (0.3, (True, True, False, True)), (-0.1, None))
    ]
    features = torch.cat([random_features(4, seed=seed) for seed in range(3)])
    batch = TapTable.batch(tables)
    together = lift(features, batch)
    for position, table in enumerate(tables):
        assert torch.equal(together[position], lift(features[position][None], table)[0])
        np.testing.assert_array_equal(batch.seen[position], table.seen)


def test_bf16_features_stay_within_their_precision():
    rig = ring_rig(CONFIG.image_size)
    features = random_features(4)
    table = build_tap_table(rig, CONFIG)
    exact = lift(features, table)
    rounded = lift(features.bfloat16(), table)
    assert rounded.dtype == torch.bfloat16
    assert (rounded.float() - exact).abs().max() < 0.02 * exact.abs().max()


def test_result_is_channels_last():
    table = build_tap_table(ring_rig(CONFIG.image_size), CONFIG)
    result = lift(random_features(4), table)
    assert result.is_contiguous(memory_format=torch.channels_last)


def test_rig_of_another_image_size_is_refused_by_camera_name():
    with pytest.raises(ConfigurationError, match=r"camera camera0 has images of 32x48.*64x96"):
        build_tap_table(ring_rig((32, 48)), CONFIG)


def test_present_of_another_length_is_refused():
    with pytest.raises(ConfigurationError, match="3 entries, the rig 4 cameras"):
        build_tap_table(ring_rig(CONFIG.image_size), CONFIG, (True, True, True))


def test_tables_of_different_layout_do_not_batch():
    tables = [build_tap_table(ring_rig(CONFIG.image_size, count=count), CONFIG) for count in (3, 4)]
    with pytest.raises(ConfigurationError, match="must agree"):
        TapTable.batch(tables)


def test_features_of_another_size_are_refused():
    table = build_tap_table(ring_rig(CONFIG.image_size), CONFIG)
    with pytest.raises(ValueError, match="do not belong"):
        lift(torch.zeros(1, 3, 2, *CONFIG.feature_shape), table)
