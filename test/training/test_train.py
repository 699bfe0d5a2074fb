# SPDX-License-Identifier: Apache-2.0
"""From a real bag to weights, and on from a checkpoint."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_boxes import MODEL, WORLD_T_BASE, a_config, a_rig, tensors, write_bag

from bev_perception.datasets.preparation import ExtractionSettings, find_bags, prepare_bags
from bev_perception.errors import BagError, ConfigurationError, WeightsError
from bev_perception.evaluation import evaluate_bags
from bev_perception.geometry import BevGrid, RigidTransform
from bev_perception.geometry.rig_statistics import RigStatistics
from bev_perception.inference import TorchEngine
from bev_perception.model import Segnet, load_weights, preset, shipped_weights
from bev_perception.resources import config_path
from bev_perception.training import DataConfig, OptimizerConfig, TrainConfig
from bev_perception.training.checkpoint_file import LAST_NAME
from bev_perception.training.module import SegnetModule
from bev_perception.training.provenance import command_line
from bev_perception.training.train import _initial_model, train


def test_training_leaves_weights_that_say_where_they_come_from(tmp_path, bags, cache):
    result = train(a_config(tmp_path, bags, cache), show_progress=False)
    model, metadata = load_weights(result.weights)
    assert model.config == MODEL
    assert result.steps == 6
    assert metadata["data"]["train"] == {"bags": ["one"], "sets": 3}
    assert metadata["data"]["validation"] == {"bags": ["two"], "sets": 2}
    assert metadata["recipe"]["max_steps"] == 6
    assert RigStatistics.from_dict(metadata["rig"]).rigs == 1
    assert 0.0 <= metadata["metrics"]["iou_within_50m"] <= 1.0
    assert metadata["calibration"]["fitted_on"] == ["two"]
    assert metadata["calibration"]["nll_after"] <= metadata["calibration"]["nll_before"]
    assert str(tmp_path) not in json.dumps(metadata)
    assert (tmp_path / "config.yaml").is_file()
    assert list((tmp_path / "tensorboard").glob("events.*"))


def checkpoint_minutes(config):
    return torch.load(config.out / LAST_NAME, weights_only=True)["bev_perception_minutes"]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_stopped_run_resumes_exactly_where_it_stood(tmp_path, bags, cache, accumulate):
    whole = train(
        a_config(tmp_path / "whole", bags, cache, accumulate=accumulate), show_progress=False
    )
    config = a_config(tmp_path / "parts", bags, cache, accumulate=accumulate)
    stopped = train(replace(config, max_minutes=1e-6), show_progress=False)
    assert stopped.steps == 1
    minutes = checkpoint_minutes(config)
    resumed = train(replace(config, resume=True), show_progress=False)
    assert resumed.steps == whole.steps == 6
    assert checkpoint_minutes(config) > minutes > 0.0
    expected = tensors(whole.weights)
    for name, value in tensors(resumed.weights).items():
        assert torch.equal(value, expected[name]), name
    assert resumed.metrics == whole.metrics


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=["ctrl_c", "kill"])
def test_a_signal_ends_after_the_step_with_a_checkpoint(tmp_path, bags, cache, monkeypatch, stop):
    step = SegnetModule.training_step

    def interrupting(self, batch, batch_idx):
        if batch_idx == 1:
            signal.raise_signal(stop)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(SegnetModule, "training_step", interrupting)
    handler = signal.getsignal(stop)
    with pytest.raises(KeyboardInterrupt):
        train(a_config(tmp_path, bags, cache), show_progress=False)
    assert signal.getsignal(stop) is handler
    state = torch.load(tmp_path / LAST_NAME, weights_only=True)
    assert state["global_step"] == 2
    assert not list(tmp_path.glob(".*partial*"))


def test_a_schedule_whose_rate_rises_on_its_first_step_alone_begins(tmp_path, bags):
    config = a_config(tmp_path, bags, None, max_steps=19)  # 5 % of 20
    found = SegnetModule(Segnet(MODEL), config).configure_optimizers()
    assert 0.0 < found["lr_scheduler"]["scheduler"].get_last_lr()[0] < 2e-3


def test_bf16_is_for_computing_and_weights_stay_fp32(tmp_path, bags, cache):
    config = replace(a_config(tmp_path, bags, cache, max_steps=3), precision="bf16")
    trained = tensors(train(config, show_progress=False).weights)
    exact = replace(config, out=tmp_path / "fp32", precision="fp32")
    expected = tensors(train(exact, show_progress=False).weights)
    assert {value.dtype for value in trained.values()} == {torch.float32, torch.int64}
    assert all(torch.isfinite(value).all() for value in trained.values())
    name = "segmentation_head.0.weight"
    assert not torch.equal(trained[name], expected[name])
    torch.testing.assert_close(trained[name], expected[name], atol=0.02, rtol=0.0)


def test_gpus_that_are_not_there_are_refused_before_bags_are_read(tmp_path, bags, cache):
    config = replace(a_config(tmp_path / "out", bags, cache), devices=(0,))
    with pytest.raises(ConfigurationError, match=r"devices \[0\] names GPUs"):
        train(config, show_progress=False)
    assert not (tmp_path / "out").exists()


def test_training_learns_to_see_drawn_boxes(tmp_path, bags, cache):
    config = a_config(
        tmp_path,
        (bags[0], bags[1]),
        cache,
        max_steps=120,
        validate_every=1000,
        optimizer=OptimizerConfig(learning_rate=1e-2, ema_decay=0.9),
    )
    result = train(config, show_progress=False)
    model, _ = load_weights(result.weights)
    engine = TorchEngine(model)
    seen = evaluate_bags([bags[0]], engine, show_progress=False)
    assert seen["iou"]["within_25m"] > 0.3
    assert (seen["bags"], seen["sets"]) == (1, 3)


def test_weights_of_small_images_and_coarse_cells_start_a_training_with_large_and_fine_ones(
    tmp_path, bags, cache
):
    small = train(a_config(tmp_path / "small", bags, cache, max_steps=3), show_progress=False)
    large = replace(MODEL, image_size=(64, 96), grid=BevGrid.centered(12.0, 0.375))
    config = a_config(tmp_path / "large", bags, cache, max_steps=2, model=large)
    config = replace(config, init_weights=small.weights)
    start = _initial_model(config)[0].state_dict()
    assert all(torch.equal(value, start[name]) for name, value in tensors(small.weights).items())
    other = replace(config, out=tmp_path / "other", model=replace(large, latent_dim=16))
    with pytest.raises(ConfigurationError, match=r"small/weights.*latent_dim 8 there, 16 here"):
        train(other, show_progress=False)
    train(replace(config, max_minutes=1e-6), show_progress=False)
    small.weights.unlink()  # what a run began with is not asked for again
    result = train(replace(config, resume=True), show_progress=False)
    model, metadata = load_weights(result.weights)
    assert model.config == large
    assert metadata["init"]["steps"] == 3
    name = "segmentation_head.0.weight"
    assert not torch.equal(model.state_dict()[name], start[name])


def test_shipped_weights_start_a_training_by_their_name(tmp_path, bags, cache):
    config = replace(a_config(tmp_path, bags, cache), model=preset("tiny"))
    start = _initial_model(replace(config, init_weights=Path("tiny")))[0].state_dict()
    assert all(
        torch.equal(value, start[name]) for name, value in tensors(shipped_weights("tiny")).items()
    )
    with pytest.raises(WeightsError, match=r"no shipped weights named 'huge'.*tiny"):
        _initial_model(replace(config, init_weights=Path("huge")))


def test_an_old_run_is_neither_overwritten_nor_resumed_by_accident(tmp_path, bags, cache):
    config = a_config(tmp_path, bags, cache)
    with pytest.raises(ConfigurationError, match="nothing to resume"):
        train(replace(config, resume=True), show_progress=False)
    (tmp_path / LAST_NAME).touch()
    with pytest.raises(ConfigurationError, match="--resume"):
        train(config, show_progress=False)


def test_a_checkpoint_of_another_run_is_refused_with_the_difference(tmp_path, bags, cache):
    config = a_config(tmp_path, bags, cache, max_steps=1)
    train(config, show_progress=False)
    with pytest.raises(ConfigurationError, match="max_steps 1 there, 9 here"):
        train(replace(config, max_steps=9, resume=True), show_progress=False)
    faster = OptimizerConfig(learning_rate=0.01)
    with pytest.raises(ConfigurationError, match=r"learning_rate 0\.002 there, 0\.01 here"):
        train(replace(config, optimizer=faster, resume=True), show_progress=False)
    fewer = replace(config.data, train=(bags[1],), validation=(bags[0],))
    with pytest.raises(ConfigurationError, match="training sets 3 there, 2 here"):
        train(replace(config, data=fewer, resume=True), show_progress=False)
    (tmp_path / LAST_NAME).write_bytes(b"not a checkpoint")
    with pytest.raises(ConfigurationError, match="damaged"):
        train(replace(config, resume=True), show_progress=False)


def test_a_bag_in_both_splits_is_refused(tmp_path, bags, cache):
    with pytest.raises(ConfigurationError, match="disjoint"):
        train(a_config(tmp_path, (bags[0], bags[0]), cache), show_progress=False)
    (file,) = bags[0].glob("*.mcap")
    for split in ((bags[0], file), (file, bags[0])):  # one bag by two names
        with pytest.raises(ConfigurationError, match="disjoint"):
            train(a_config(tmp_path, split, cache), show_progress=False)


def test_bags_are_prepared_once_and_again_when_they_change(tmp_path, bags):
    settings = ExtractionSettings((32, 48))
    first = prepare_bags([bags[0]], tmp_path, settings, show_progress=False)[0]
    made = (first.path / "images.raw").stat().st_mtime_ns
    again = prepare_bags([bags[0]], tmp_path, settings, show_progress=False)[0]
    assert (again.path / "images.raw").stat().st_mtime_ns == made
    other = prepare_bags([bags[0]], tmp_path, ExtractionSettings((16, 48)), show_progress=False)[0]
    assert other.path != first.path
    assert other.shape == (3, 2, 16, 48, 3)


def test_a_rig_file_that_is_not_there_is_named_before_bags_are_read(tmp_path, bags):
    settings = ExtractionSettings((32, 48), rig_file=tmp_path / "car.yaml")
    with pytest.raises(ConfigurationError, match=r"rig file .*car\.yaml cannot be read"):
        prepare_bags([bags[0]], tmp_path / "cache", settings, show_progress=False)
    assert not (tmp_path / "cache").exists()


def test_prepared_samples_are_levelled(tmp_path, bags):
    bag = prepare_bags([bags[0]], tmp_path, ExtractionSettings((32, 48)), show_progress=False)[0]
    level = RigidTransform.from_euler(yaw=-WORLD_T_BASE.yaw) @ RigidTransform(
        WORLD_T_BASE.rotation, np.zeros(3)
    )
    expected = level @ a_rig()["front"].base_T_camera
    assert bag.sample(0).rig["front"].base_T_camera.is_close(expected, 1e-5, 1e-5)


def test_a_bag_without_labels_is_named(tmp_path):
    bag = write_bag(tmp_path / "silent", 2, 3, labelled=False)
    with pytest.raises(BagError, match=r"silent.*label"):
        prepare_bags([bag], tmp_path / "cache", ExtractionSettings((32, 48)), show_progress=False)
    assert not any((tmp_path / "cache").glob("*"))


def test_bags_are_found_in_folders_and_a_wrong_path_is_named(tmp_path, bags):
    assert find_bags([bags[0].parent]) == sorted(bags)
    with pytest.raises(BagError, match="nowhere"):
        find_bags([tmp_path / "nowhere"])
    with pytest.raises(BagError, match="no bag"):
        find_bags([tmp_path])
    (tmp_path / "notes.txt").touch()
    with pytest.raises(BagError, match=r"notes\.txt is not a bag; expected .mcap"):
        find_bags([tmp_path / "notes.txt"])


def test_the_command_in_metadata_names_no_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["/opt/venv/bin/bev", "train", "--data.train", f"{tmp_path}/bags", "--out=/data/x"]
    assert command_line(arguments) == "bev train --data.train bags --out=x"
    listed = ["/x/cli/main.py", f'["{tmp_path}/a", "b/c"]', f"--o=[{tmp_path}/a, /data/d]"]
    assert command_line(listed) == """bev '["a", "b/c"]' '--o=[a, d]'"""


def test_the_shipped_recipe_is_a_training_configuration():
    from jsonargparse import ArgumentParser

    parser = ArgumentParser()
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(TrainConfig)
    values = parser.parse_args([f"--config={config_path('recipes/tiny.yaml')}", "--seed=4"])
    values.pop("config")
    recipe = TrainConfig(**parser.instantiate_classes(values))
    assert recipe.seed == 4
    assert recipe.model.encoder == "light"
    assert recipe.model.grid.shape == (200, 200)


def test_the_configuration_beside_the_weights_resumes_the_run(tmp_path):
    from bev_perception.cli.parser import Parser
    from bev_perception.cli.train import _add_arguments, configuration
    from bev_perception.training.train import _save_config

    data = DataConfig(train=(tmp_path / "a",), validation=(tmp_path / "b",))
    config = TrainConfig(out=tmp_path, data=data, model=MODEL, max_steps=77)
    _save_config(config)
    parser = Parser(prog="bev train")
    _add_arguments(parser)
    arguments = parser.parse_args(["--config", f"{tmp_path}/config.yaml", "--resume", "true"])
    assert configuration(arguments) == (replace(config, resume=True), 0)
