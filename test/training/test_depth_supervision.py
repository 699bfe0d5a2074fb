# SPDX-License-Identifier: Apache-2.0
"""The lift "depth" learns its depths from points that stay where they are in every view."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bev_perception.datasets.prepared_bag import PreparedBag, Sample
from bev_perception.datasets.prepared_bag_writer import PreparedBagWriter
from bev_perception.errors import ConfigurationError
from bev_perception.geometry import BevGrid, PinholeCamera, Rig, RigCamera, RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.model import LiftSettings, Segnet, SegnetConfig
from bev_perception.training.augmentation import AugmentationConfig, mirrored, turned
from bev_perception.training.batch import collate
from bev_perception.training.configuration import TrainConfig
from bev_perception.training.dataset import SegnetDataset
from bev_perception.training.depth_supervision import depth_loss, depth_targets
from bev_perception.training.loss_config import LossConfig
from bev_perception.training.miscalibration import MiscalibrationConfig, miscalibrated
from bev_perception.training.module import SegnetModule
from bev_perception.training.semi_supervised.config import SemiSupervisedConfig

PLAIN = AugmentationConfig(mirror=False, brightness=0.0, contrast=0.0, gamma=0.0, tint=0.0)
SETTINGS = LiftSettings(depth_m=(1.0, 9.0), depth_bins=4)
CONFIG = SegnetConfig(
    "light",
    (32, 48),
    (0.0,),
    BevGrid.centered(8.0, 1.0),
    8,
    (8, 8, 8),
    (8, 8, 8),
    lift="depth",
    lift_settings=SETTINGS,
)


def two_cameras() -> Rig:
    camera = PinholeCamera.from_field_of_view(48, 32, 90.0)
    mounts = [
        RigidTransform.from_euler(0.05, 0.1, yaw, (0.3, 0.1, 1.5)) @ BODY_T_OPTICAL
        for yaw in (0.2, 2.9)
    ]
    return Rig({f"camera{n}": RigCamera(camera, mount) for n, mount in enumerate(mounts)})


def some_points(count: int = 300) -> np.ndarray:
    return np.random.default_rng(0).uniform((-9, -9, -1), (9, 9, 3), (count, 3))


def a_sample() -> Sample:
    images = np.random.default_rng(1).integers(0, 256, (2, 32, 48, 3), dtype=np.uint8)
    return Sample(images, np.ones(2, bool), two_cameras(), (), points=some_points())


def test_a_feature_cell_has_the_depth_of_its_nearest_point():
    rig, points = two_cameras(), some_points()
    expected = np.full((2, 4, 6), np.inf)
    for camera, entry in enumerate(rig.cameras.values()):
        for point in points:
            (u, v), valid = entry.project(point)
            if valid and -0.5 <= u <= 47.5 and -0.5 <= v <= 31.5:
                place = camera, math.floor((v + 0.5) / 8), math.floor((u + 0.5) / 8)
                depth = entry.base_T_camera.inverse().apply(point)[2]
                expected[place] = min(expected[place], depth)
    found = depth_targets(points, rig, (True, True), CONFIG)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert np.isfinite(expected).sum() > 20
    assert np.isinf(depth_targets(points, rig, (True, False), CONFIG)[1]).all()


def test_a_view_has_the_depths_that_belong_to_it():
    sample = a_sample()
    plain = depth_targets(sample.points, sample.rig, (True, True), CONFIG)
    around = turned(sample, 1.0)
    np.testing.assert_allclose(
        depth_targets(around.points, around.rig, (True, True), CONFIG), plain, rtol=1e-5
    )
    flipped = mirrored(sample)
    found = depth_targets(flipped.points, flipped.rig, (True, True), CONFIG)
    np.testing.assert_allclose(found, plain[:, :, ::-1], rtol=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        MiscalibrationConfig(pitch_deg=8.0, roll_deg=8.0, height_m=0.5),
        MiscalibrationConfig(pitch_deg=8.0, camera_deg=8.0, camera_m=0.3, focal=0.2),
    ],
)
def test_depths_are_those_of_the_images_whatever_the_calibration_says(wrong, tmp_path):
    sample = a_sample()
    with PreparedBagWriter(tmp_path / "bag", sample.rig, (32, 48), {"bag": "x"}) as writer:
        level = RigidTransform.identity()
        writer.add(0, sample.images, sample.present, level, (), points=sample.points)
    bag = PreparedBag(tmp_path / "bag")
    true, told = (
        SegnetDataset([bag], CONFIG, augmentation=replace(PLAIN, miscalibration=config))
        for config in (MiscalibrationConfig(), wrong)
    )
    assert told.variation(0, 5).rig != true.variation(0, 5).rig
    expected = true[0, 5].depth
    np.testing.assert_allclose(told[0, 5].depth, expected, rtol=1e-4)
    assert np.isfinite(expected).sum() > 20


def test_a_cloud_is_told_as_wrongly_as_the_cameras():
    sample, wrong = a_sample(), MiscalibrationConfig(pitch_deg=8.0, height_m=0.5)
    told = miscalibrated(sample, wrong, np.random.default_rng(3))
    moved = told.rig["camera0"].base_T_camera @ sample.rig["camera0"].base_T_camera.inverse()
    assert abs(moved.euler[1]) > 0.01
    np.testing.assert_allclose(told.points, moved.apply(sample.points), atol=1e-9)


def test_the_loss_is_the_surprise_at_the_true_bin():
    logits = torch.tensor([0.0, 1.0, 2.0, 3.0]).view(1, 4, 1, 1).expand(1, 4, 1, 5).clone()
    depth = torch.tensor([[[[1.0, 4.9, 8.99, 9.0, torch.inf]]]])  # bins 0, 1, 3, beyond, unknown
    surprise = torch.logsumexp(torch.arange(4.0), 0) - torch.tensor([0.0, 1.0, 3.0])
    assert float(depth_loss(logits, depth, SETTINGS)) == pytest.approx(float(surprise.mean()))
    assert float(depth_loss(logits, torch.full((1, 1, 1, 5), torch.inf), SETTINGS)) == 0.0


def test_the_loss_of_a_batch_is_the_mean_of_its_parts_however_many_depths_they_know():
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(4 * 2, 4, 3, 5, generator=random).requires_grad_()
    depth = 1.0 + 8.0 * torch.rand(4, 2, 3, 5, generator=random)
    depth[1, :, 1:] = torch.inf
    depth[2, 1] = depth[2, 0, :, 1:] = torch.inf
    depth[3] = torch.inf  # nothing is known
    samples = logits.split(2)
    parts = [depth_loss(part, depth[n : n + 1], SETTINGS) for n, part in enumerate(samples)]
    whole = depth_loss(logits, depth, SETTINGS)
    torch.testing.assert_close(whole, torch.stack(parts).mean())
    accumulated = torch.autograd.grad(sum(parts) / 4, logits, retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(whole, logits), accumulated)


def test_points_are_kept_with_a_prepared_bag_and_levelled_with_it(tmp_path):
    rig, level = two_cameras(), RigidTransform.from_euler(0.03, -0.05)
    clouds = [some_points(5), np.zeros((0, 3)), some_points(7)]
    with PreparedBagWriter(tmp_path / "bag", rig, (32, 48), {"bag": "x"}) as writer:
        for number, cloud in enumerate(clouds):
            images, present = a_sample().images, np.ones(2, dtype=bool)
            writer.add(number, images, present, level, (), points=cloud)
    bag = PreparedBag(tmp_path / "bag")
    for number, cloud in enumerate(clouds):
        np.testing.assert_allclose(bag.sample(number).points, level.apply(cloud), atol=1e-5)
    example = SegnetDataset([bag], CONFIG)[2]
    assert np.isfinite(example.depth).any()
    assert SegnetDataset([bag], replace(CONFIG, lift="bilinear"))[2].depth is None
    batch = collate([example, example]).to("cpu")
    assert batch.depth.shape == (2, 2, 4, 6)
    losses = LossConfig(depth_weight=0.5)
    module = SegnetModule(Segnet(CONFIG), TrainConfig(model=CONFIG, losses=losses))
    terms = module.losses(module(batch), batch)
    without = SegnetModule(module.model, TrainConfig(model=CONFIG))
    plain = without.losses(without(batch), batch)
    difference = (terms["total"] - plain["total"]).item()
    assert difference == pytest.approx(0.5 * terms["depth"].item(), rel=1e-4)
    assert terms["depth"].item() > 0.5
    terms["depth"].backward()
    assert all(part.grad is not None for part in module.model.lifting.parameters())


def test_depths_are_taught_to_no_other_lift():
    with pytest.raises(ConfigurationError, match=r"depth_weight 1 .* model\.lift is bilinear"):
        TrainConfig(losses=LossConfig(depth_weight=1.0))


def test_learning_from_guesses_would_leave_depths_out_and_is_refused():
    with pytest.raises(ConfigurationError, match=r"depth_weight 1 .*method fixmatch"):
        TrainConfig(
            model=CONFIG,
            losses=LossConfig(depth_weight=1.0),
            semi_supervised=SemiSupervisedConfig(method="fixmatch"),
        )
