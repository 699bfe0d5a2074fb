# SPDX-License-Identifier: Apache-2.0
"""Every shipped recipe is a configuration, and holds what its name promises."""

from __future__ import annotations

from dataclasses import replace

import jsonargparse
import pytest

from bev_perception.model.memory_config import MemoryConfig
from bev_perception.model.presets import preset
from bev_perception.resources import config_path
from bev_perception.training.configuration import TrainConfig
from bev_perception.training.loss_config import LossConfig


def recipe(name: str) -> TrainConfig:
    parser = jsonargparse.ArgumentParser()
    parser.add_argument("--config", action=jsonargparse.ActionConfigFile)
    parser.add_class_arguments(TrainConfig)
    values = parser.parse_args([f"--config={config_path(f'recipes/{name}.yaml')}"])
    values.pop("config")
    return TrainConfig(**parser.instantiate_classes(values))


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in config_path("recipes/tiny.yaml").parent.glob("*.yaml"))
)
def test_every_recipe_is_a_configuration(name):
    assert recipe(name).max_steps > 0


def test_the_robust_recipe_draws_all_that_robustness_needs():
    augmentation = recipe("tiny_robust").augmentation
    assert augmentation.miscalibration.pitch_deg >= 2.0
    assert augmentation.views.changes_anything
    assert augmentation.quality.changes_anything
    assert augmentation.camera_dropout > 0.0
    assert augmentation.ignore_unseen


@pytest.mark.parametrize("name", ["seed", "nuscenes"])
def test_the_published_training_is_kept_number_by_number(name):
    config = recipe(name)
    assert config.model == preset(name)
    assert config.losses == LossConfig()
    optimizer = config.optimizer
    assert (optimizer.learning_rate, optimizer.weight_decay) == (3e-4, 1e-7)
    assert (optimizer.schedule, optimizer.warmup_fraction) == ("onecycle", 0.05)
    assert (optimizer.clip_norm, optimizer.ema_decay) == (5.0, None)
    assert (config.max_steps, config.batch_size * config.accumulate) == (25_000, 40)
    augmentation = config.augmentation
    assert augmentation.mirror
    assert augmentation.shuffle_cameras
    assert augmentation.views.zoom == 0.2
    assert not augmentation.changes_color


def test_both_stages_of_base_differ_in_size_and_pace_alone():
    half, whole = recipe("base_half"), recipe("base")
    assert (half.model, whole.model) == (preset("base_half"), preset("base"))
    for part in ("losses", "targets", "augmentation", "precision"):
        assert getattr(half, part) == getattr(whole, part)
    robust = recipe("tiny_robust").augmentation
    miscalibration = replace(robust.miscalibration, share=0.5)
    assert whole.augmentation == replace(robust, miscalibration=miscalibration)


def test_what_small_grows_into_differs_in_size_and_pace_alone():
    sharp = recipe("small_sharp")
    for name, model in {"small_fine": "small_fine", "base_grown": "base"}.items():
        grown = recipe(name)
        assert grown.model == preset(model)
        for part in ("losses", "targets", "augmentation", "precision", "batch_size"):
            assert getattr(sharp, part) == getattr(grown, part)


def test_small_goes_on_from_tiny_and_then_with_finer_features_and_sharper_samples():
    first, sharp, tiny = recipe("small"), recipe("small_sharp"), recipe("tiny_interpolated")
    assert sharp.model == preset("small") == replace(first.model, feature_stride=4)
    assert first.augmentation == tiny.augmentation
    views = replace(tiny.augmentation.views, share=0.5)
    assert sharp.augmentation == replace(tiny.augmentation, views=views)
    assert sharp.losses == replace(first.losses, positive_weight=1.6)


def test_small_goes_on_with_most_samples_as_they_were_taken():
    sharp, longer = recipe("small_sharp"), recipe("small_longer")
    assert (longer.model, longer.losses) == (sharp.model, sharp.losses)
    views = replace(sharp.augmentation.views, share=0.2)
    halved = {
        name: getattr(sharp.augmentation, name) / 2.0
        for name in ("brightness", "contrast", "gamma", "tint")
    }
    assert longer.augmentation == replace(
        sharp.augmentation, views=views, camera_dropout=0.02, **halved
    )


@pytest.mark.parametrize("name", ["tiny_queue", "tiny_gru"])
def test_networks_with_memory_have_the_budget_of_the_one_without(name):
    plain, remembering = recipe("tiny"), recipe(name)
    without = replace(remembering.model, memory=MemoryConfig())
    assert without == plain.model
    for part in ("optimizer", "losses", "targets", "augmentation", "max_steps", "seed"):
        assert getattr(remembering, part) == getattr(plain, part)
    judged = remembering.batch_size * remembering.sequences.graded
    assert judged == plain.batch_size
    assert remembering.sequences.history > 0


@pytest.mark.parametrize("name", ["ground", "ground_late", "depth", "depth_lidar", "attention"])
def test_lifts_are_compared_by_tinys_budget(name):
    tiny, other = recipe("tiny"), recipe(f"tiny_{name}")
    lift = name.removesuffix("_lidar")
    assert other.model.lift == lift
    model = replace(other.model, lift="bilinear", heights_m=tiny.model.heights_m)
    assert model == tiny.model
    taught = LossConfig(depth_weight=1.0) if name == "depth_lidar" else LossConfig()
    assert replace(other, model=tiny.model, losses=LossConfig()) == tiny
    assert other.losses == taught


def test_the_virtual_recipe_is_tinys_on_turned_images():
    tiny, other = recipe("tiny"), recipe("tiny_virtual")
    assert [camera.yaw_deg for camera in other.model.virtual_cameras] == [0.0, 90.0, 180.0, -90.0]
    assert replace(other, model=replace(other.model, virtual_cameras=())) == tiny


def test_the_lidar_recipe_is_tinys_with_clouds_that_are_lost_now_and_then():
    tiny, other = recipe("tiny"), recipe("tiny_lidar")
    assert other.model.sensor == "lidar"
    assert other.augmentation.cloud_dropout > 0.0
    model = replace(other.model, sensor="none")
    augmentation = replace(other.augmentation, cloud_dropout=0.0)
    assert replace(other, model=model, augmentation=augmentation) == tiny
