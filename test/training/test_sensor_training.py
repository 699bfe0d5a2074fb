# SPDX-License-Identifier: Apache-2.0
"""Networks with a sensor learn from clouds that are turned, mirrored and lost with their sample."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn_boxes import MODEL, write_bag

from bev_perception.bags import BagReader
from bev_perception.datasets.preparation import ExtractionSettings, prepare_bag
from bev_perception.datasets.prepared_bag import PreparedBag, Sample
from bev_perception.datasets.prepared_bag_writer import PreparedBagWriter
from bev_perception.errors import BagError, ConfigurationError
from bev_perception.evaluation.evaluate import evaluate_bags
from bev_perception.geometry import BevGrid, PinholeCamera, Rig, RigCamera, RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.geometry.point_values import RADAR_VALUES
from bev_perception.inference import load_engine
from bev_perception.model import Segnet, SegnetConfig
from bev_perception.model.memory_config import MemoryConfig
from bev_perception.model.sensor_map import cloud_map
from bev_perception.training import DataConfig
from bev_perception.training.augmentation import AugmentationConfig, augmented, mirrored, turned
from bev_perception.training.batch import collate
from bev_perception.training.configuration import OptimizerConfig, TrainConfig
from bev_perception.training.dataset import SegnetDataset
from bev_perception.training.module import SegnetModule
from bev_perception.training.semi_supervised.config import SemiSupervisedConfig
from bev_perception.training.sequences.config import SequenceConfig
from bev_perception.training.sequences.window_batch import collate_windows
from bev_perception.training.sequences.window_dataset import WindowDataset
from bev_perception.training.sequences.window_module import WindowModule
from bev_perception.training.train import train
from bev_perception.training.views import ViewConfig

CONFIG = SegnetConfig(
    "light",
    (32, 48),
    (0.0, 1.0),
    BevGrid.centered(8.0, 1.0),
    8,
    (8, 8, 8),
    (8, 8, 8),
    sensor="lidar",
)
LOST = AugmentationConfig(mirror=False, cloud_dropout=0.999999)


def a_rig() -> Rig:
    camera = PinholeCamera.from_field_of_view(48, 32, 90.0)
    mounts = [
        RigidTransform.from_euler(0.05, 0.1, yaw, (0.3, 0.1, 1.5)) @ BODY_T_OPTICAL
        for yaw in (0.2, 2.9)
    ]
    return Rig({f"camera{n}": RigCamera(camera, mount) for n, mount in enumerate(mounts)})


def a_sample(seed: int = 3) -> Sample:
    random = np.random.default_rng(seed)
    points = random.uniform((-9, -9, -1), (9, 9, 2), (300, 3))
    images = random.integers(0, 256, (2, 32, 48, 3), dtype=np.uint8)
    return Sample(images, np.ones(2, dtype=bool), a_rig(), (), points=points)


def a_prepared_bag(path, clouds, tilt: RigidTransform | None = None) -> PreparedBag:
    random = np.random.default_rng(0)
    level_T_base = tilt or RigidTransform.identity()
    with PreparedBagWriter(path, a_rig(), CONFIG.image_size, {}) as writer:
        for number, cloud in enumerate(clouds):
            images = random.integers(0, 256, (2, 32, 48, 3), dtype=np.uint8)
            present = np.ones(2, dtype=bool)
            pose = RigidTransform.identity()
            stamp_ns = number * 100_000_000
            writer.add(stamp_ns, images, present, level_T_base, (), None, pose, cloud)
    return PreparedBag(path)


def test_the_map_of_a_mirrored_sample_is_the_mirrored_map():
    sample = a_sample()
    before = cloud_map(sample.points, CONFIG)
    after = cloud_map(mirrored(sample).points, CONFIG)
    assert 0.1 < before.mean() < 0.9
    assert torch.equal(after, before.flip(2))


def test_radar_values_follow_the_sample_as_the_radar_would_have_told_them(tmp_path):
    values = np.arange(32.0).reshape(2, 16) + 1.0
    cloud = np.concatenate([[[5.0, 2.0, 0.5], [-3.0, 6.0, 1.0]], values], axis=1)
    tilt = RigidTransform.from_euler(0.1, -0.05, 0.0)
    sample = a_prepared_bag(tmp_path / "bag", [cloud, np.zeros((0, 19))], tilt).sample(0)
    np.testing.assert_allclose(sample.points[:, :3], tilt.apply(cloud[:, :3]), atol=1e-5)
    np.testing.assert_array_equal(sample.points[:, 3:], values)
    np.testing.assert_array_equal(turned(sample, 1.0).points[:, 3:], values)  # in its own frame
    to_the_side = np.isin(RADAR_VALUES, ("vy", "vy_comp"))
    assert to_the_side.sum() == 2
    expected = values * np.where(to_the_side, -1.0, 1.0)
    np.testing.assert_array_equal(mirrored(sample).points[:, 3:], expected)
    config = replace(CONFIG, sensor="radar_features")
    (example,) = [SegnetDataset([PreparedBag(tmp_path / "bag")], config)[0]]
    assert example.sensor_map.shape == (1, 32, 16, 16)
    assert set(example.sensor_map.unique().tolist()) == {0.0, *values.ravel()}


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_the_map_of_a_turned_sample_is_the_turned_map(quarters):
    sample = a_sample()
    before = cloud_map(sample.points, CONFIG)
    after = cloud_map(turned(sample, quarters * math.pi / 2).points, CONFIG)
    # A grid whose rows grow with y turns from x (dimension 3) to y (dimension 2).
    assert torch.equal(after, torch.rot90(before, quarters, (3, 2)))


def test_views_of_cameras_leave_points_where_they_are():
    sample = a_sample()
    views = AugmentationConfig(mirror=False, views=ViewConfig(zoom=0.3))
    seen = augmented(sample, views, np.random.default_rng(1))
    assert seen.rig != sample.rig
    assert seen.points is sample.points


def test_an_example_carries_the_levelled_cloud_and_a_lost_one_is_an_empty_one(tmp_path):
    cloud = np.random.default_rng(1).uniform((-9, -9, -1), (9, 9, 2), (300, 3))
    tilt = RigidTransform.from_euler(0.1, -0.05, 0.0)
    bag = a_prepared_bag(tmp_path / "bag", [cloud, np.zeros((0, 3))], tilt)
    told = SegnetDataset([bag], CONFIG)
    levelled = tilt.apply(cloud.astype(np.float32).astype(np.float64))
    assert torch.equal(told[0].sensor_map, cloud_map(levelled, CONFIG))
    assert not told[1].sensor_map.any()
    lost = SegnetDataset([bag], CONFIG, augmentation=LOST)
    assert not lost[0].sensor_map.any()
    assert lost.variation(0, 0).points is not None  # what teaches depths stays
    plain = SegnetDataset([bag], replace(CONFIG, sensor="none"))
    assert plain[0].sensor_map is None


def test_the_share_of_lost_clouds_is_the_one_configured():
    config = AugmentationConfig(mirror=False, cloud_dropout=0.25)
    random = np.random.default_rng(0)
    sample = replace(a_sample(), images=np.zeros((2, 2, 2, 3), dtype=np.uint8))
    lost = [augmented(sample, config, random).cloud_lost for _ in range(400)]
    assert 0.19 < np.mean(lost) < 0.31


@pytest.mark.parametrize("memory", [MemoryConfig(), MemoryConfig("gru", anchor_m=1.0)])
def test_a_step_teaches_the_convolution_of_the_cloud(tmp_path, memory):
    cloud = a_sample().points
    bag = a_prepared_bag(tmp_path / "bag", [cloud] * 4)
    model = Segnet(replace(CONFIG, memory=memory))
    sequences = SequenceConfig(history=2) if memory.is_on else SequenceConfig()
    config = TrainConfig(model=model.config, sequences=sequences)
    if memory.is_on:
        module = WindowModule(model, config)
        batch = collate_windows([WindowDataset([bag], model.config, sequences)[3]])
        assert all(past.sensor_map is not None for past in batch.to("cpu").history)
    else:
        module = SegnetModule(model, config)
        batch = collate([SegnetDataset([bag], CONFIG)[index] for index in (0, 1)])
    assert batch.to("cpu").sensor_map.shape == (len(batch), 2, 16, 16)
    module.losses(module(batch), batch)["total"].backward()
    assert model.sensor_convolution.weight.grad.abs().max() > 0.0


def test_a_bag_with_some_clouds_is_prepared_and_one_without_any_is_refused(tmp_path, monkeypatch):
    bag = write_bag(tmp_path / "drive", 2, 1)
    settings = ExtractionSettings(MODEL.image_size, sensor="lidar")
    with pytest.raises(BagError, match=r"no lidar points .*model\.sensor"):
        prepare_bag(bag, tmp_path / "none", settings)
    clouds = iter([np.ones((5, 3)), None])
    monkeypatch.setattr(BagReader, "points", lambda *_, **__: next(clouds))
    prepare_bag(bag, tmp_path / "some", settings)
    prepared = PreparedBag(tmp_path / "some")
    assert [len(prepared.sample(index).points) for index in (0, 1)] == [5, 0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"augmentation": LOST}, r"cloud_dropout .* model\.sensor is none"),
        (
            {
                "model": CONFIG,
                "semi_supervised": SemiSupervisedConfig(method="fixmatch"),
            },
            "fixmatch takes images alone",
        ),
        ({"model": replace(CONFIG, heights_m=(0.0, 1.0, 3.0))}, "evenly spaced"),
    ],
)
def test_runs_that_could_not_learn_from_clouds_are_refused(changes, words):
    with pytest.raises(ConfigurationError, match=words):
        TrainConfig(**changes)


@pytest.mark.slow
def test_lidar_finds_in_the_dark_what_cameras_cannot_and_dropout_teaches_to_do_without(tmp_path):
    by_day = write_bag(tmp_path / "train", 60, 6, lidar=True)
    dark = write_bag(tmp_path / "dark", 15, 7, dark=True, lidar=True)
    no_lidar = write_bag(tmp_path / "no_lidar", 15, 8)
    found = {}
    for name, sensor, dropout in [
        ("cameras", "none", 0.0),
        ("spoilt", "lidar", 0.0),
        ("taught", "lidar", 0.5),
    ]:
        config = TrainConfig(
            out=tmp_path / name,
            data=DataConfig(train=(by_day,), extraction_processes=1),
            model=replace(MODEL, sensor=sensor),
            augmentation=AugmentationConfig(cloud_dropout=dropout),
            optimizer=OptimizerConfig(learning_rate=8e-3, ema_decay=0.98),
            batch_size=4,
            max_steps=300,
            accelerator="cpu",
            precision="fp32",
        )
        engine = load_engine(train(config, show_progress=False).weights, "cpu", "fp32")
        judged = (evaluate_bags([bag], engine, show_progress=False) for bag in (dark, no_lidar))
        found[name] = [metrics["iou"]["within_25m"] or 0.0 for metrics in judged]
    assert found["taught"][0] > found["cameras"][0] + 0.3, found
    assert found["taught"][1] > 0.8 * found["cameras"][1], found
    assert found["taught"][1] > found["spoilt"][1] + 0.1, found
