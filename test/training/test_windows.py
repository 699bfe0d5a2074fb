# SPDX-License-Identifier: Apache-2.0
"""Windows of consecutive sets: true to each other, to the drive and to a memory's gradient."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from drawn_boxes import MODEL, a_config, a_rig

from bev_perception.bags import BagWriter
from bev_perception.datasets.preparation import ExtractionSettings, prepare_bags
from bev_perception.errors import ConfigurationError
from bev_perception.geometry import CameraFrame, FrameSet, ObjectBox, RigidTransform
from bev_perception.geometry.planar import PlanarPose
from bev_perception.model import Segnet, load_weights
from bev_perception.model.memory_config import MemoryConfig
from bev_perception.training.augmentation import AugmentationConfig
from bev_perception.training.sequences.config import SequenceConfig
from bev_perception.training.sequences.window_batch import collate_windows
from bev_perception.training.sequences.window_dataset import WindowDataset
from bev_perception.training.sequences.window_module import WindowModule, answers, velocity_loss
from bev_perception.training.train import train

SETS = 6
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone")
PERIOD_NS = 500_000_000
WORLD_BOX = RigidTransform.from_euler(yaw=0.4, translation=(14.0, 3.0, 0.8))
MOTION = np.array([1.5, -0.5, 0.0])


def pose(index: int) -> RigidTransform:
    return RigidTransform.from_euler(
        0.01, -0.02, 0.3 + 0.1 * index, (5.0 + 1.2 * index, 1.0 + 0.4 * index, 0.0)
    )


def box(index: int) -> ObjectBox:
    """A car that drives, in base_link; hidden from the fourth set on."""
    seconds = index * PERIOD_NS / 1e9
    there = RigidTransform(WORLD_BOX.rotation, WORLD_BOX.translation + seconds * MOTION)
    size = np.array([4.4, 1.8, 1.6])
    world = ObjectBox("car", 7, there, size, MOTION, 1.0 if index < 3 else 0.0)
    return world.transformed(pose(index).inverse())


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("windows")
    random, rig = np.random.default_rng(0), a_rig()
    with BagWriter(folder / "drive") as writer:
        writer.write_rig(rig, 10**9)
        for index in range(SETS):
            stamp = 10**9 + index * PERIOD_NS
            frames = {
                name: CameraFrame(name, stamp, random.integers(0, 255, (64, 96, 3), dtype=np.uint8))
                for name in rig.names
            }
            writer.write_frame_set(FrameSet(stamp, frames, (), pose(index)), rig)
            writer.write_objects(stamp, (box(index),))
    return folder / "drive"


@pytest.fixture(scope="module")
def prepared(drive: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    settings = ExtractionSettings(MODEL.image_size)
    return prepare_bags([drive], tmp_path_factory.mktemp("cache"), settings, 1, False)


def windows(prepared: Any, kind: str = "queue", **changes: Any) -> WindowDataset:
    model = replace(MODEL, memory=MemoryConfig(kind))
    sequences = SequenceConfig(**{"history": 1, "graded": 2, **changes.pop("sequences", {})})
    return WindowDataset(prepared, model, sequences, **changes)


def test_a_window_holds_consecutive_sets_and_their_poses(prepared: Any) -> None:
    window = windows(prepared)[4]
    moments = [window.history[0][1], *(look.moment for look in window.graded)]
    for index, moment in enumerate(moments, start=2):
        assert moment is not None
        assert moment.stamp_ns == 10**9 + index * PERIOD_NS
        there = PlanarPose.of(pose(index))
        assert (moment.world_T_level.x, moment.world_T_level.y) == pytest.approx((there.x, there.y))
        assert moment.world_T_level.yaw == pytest.approx(pose(index).yaw)


def test_before_the_drive_begins_there_is_nothing_to_remember(prepared: Any) -> None:
    window = windows(prepared)[0]
    assert [window.history[0][1], window.graded[0].moment] == [None, None]
    assert window.graded[1].moment is not None


@pytest.mark.parametrize("position", range(6))
def test_variations_of_a_window_agree_on_motion_and_ground(prepared: Any, position: int) -> None:
    """Where the poses say the box of one set lies at the other, the other set has it."""
    augmentation = AugmentationConfig(mirror=True, turn_steps=8, camera_dropout=0.3)
    dataset = windows(prepared, augmentation=augmentation, seed=3)
    first, second = (dataset._sets.variation(index, position) for index in (1, 2))
    moved = first.objects[0].transformed(second.world_T_level.inverse() @ first.world_T_level)
    seconds = PERIOD_NS / 1e9
    expected = moved.center + moved.velocity * seconds
    np.testing.assert_allclose(second.objects[0].center[:2], expected[:2], atol=0.03)
    np.testing.assert_allclose(second.objects[0].velocity[:2], moved.velocity[:2], atol=0.03)
    assert np.array_equal(first.present, second.present)


def test_hidden_vehicles_are_taught_while_they_may_be_remembered(prepared: Any) -> None:
    def taught(remember_s: float) -> bool:
        look = windows(prepared, sequences={"history": 2, "remember_s": remember_s})[4].graded[-1]
        inside = look.example.targets.segmentation
        assert inside.any()
        assert look.velocity_known.any() == look.example.targets.valid[inside].all()
        return bool(look.velocity_known.any())

    assert taught(1.5)
    assert not taught(0.9)  # it was seen a second ago


def test_the_velocity_taught_is_that_over_ground_in_the_levelled_frame(prepared: Any) -> None:
    look = windows(prepared)[2].graded[-1]
    assert look.moment is not None
    yaw = look.moment.world_T_level.yaw
    expected = [
        np.cos(yaw) * MOTION[0] + np.sin(yaw) * MOTION[1],
        -np.sin(yaw) * MOTION[0] + np.cos(yaw) * MOTION[1],
    ]
    cells = look.velocity[:, look.velocity_known]
    assert cells.shape[1] > 5
    np.testing.assert_allclose(cells.mean(axis=1), expected, atol=0.05)


def test_moving_and_standing_vehicles_teach_velocity_alike() -> None:
    target = torch.zeros(2, 2, 3, 4)
    target[0, :, 0, 0] = torch.tensor([6.0, -8.0])  # one cell moves, three stand
    known = torch.zeros(2, 1, 3, 4)
    known[0, 0, 0] = 1.0
    known[1, 0, 0, :2] = 1.0  # a sample in which nothing moves
    unknown = torch.full_like(target, 50.0) * (1.0 - known)
    guess = unknown + known * torch.tensor([1.0, 0.0]).reshape(2, 1, 1)
    moving, standing = 5.0 + 8.0, 1.0
    plain = velocity_loss(guess, target, known, beta=1e-6)
    assert float(plain) == pytest.approx((0.5 * (moving + standing) + 0.5 * standing) / 2)
    moving, standing = (5.0 - 2.0) + (8.0 - 2.0), 1.0 / 8.0
    smooth = velocity_loss(guess, target, known, beta=4.0)
    assert float(smooth) == pytest.approx((0.5 * (moving + standing) + 0.5 * standing) / 2)
    assert velocity_loss(target + unknown, target, known) == 0.0


@pytest.mark.parametrize("kind", ["queue", "gru"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_parameter_learns_from_windows(prepared: Any, kind: str, precision: str) -> None:
    """In bf16, too: weights converted for the history must not be those of the gradient."""
    dataset = windows(prepared, kind)
    torch.manual_seed(0)
    model = Segnet(replace(MODEL, memory=MemoryConfig(kind)))
    torch.nn.init.normal_(model.memory.to_bev.weight, std=0.1)
    module = WindowModule(model, a_config("unused", ("a", "b"), None, **with_memory(kind)))
    batch = collate_windows([dataset[3], dataset[5]])
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        losses = [module.losses(o, s) for s, o in zip(batch.steps, answers(model, batch))]
    sum(one["total"] for one in losses).backward()
    assert all(torch.isfinite(one["velocity"]) for one in losses)
    idle = [name for name, value in model.named_parameters() if value.grad is None]
    assert idle == []


def with_memory(kind: str) -> dict[str, Any]:
    model = replace(MODEL, memory=MemoryConfig(kind))
    return {"model": model, "sequences": SequenceConfig(history=1, graded=2)}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("none", marks=pytest.mark.slow),
        pytest.param("queue", marks=pytest.mark.slow),
        "gru",
    ],
)
def test_training_on_windows_leaves_weights_that_remember(
    drive: Any, tmp_path: Any, cache: Any, kind: str
) -> None:
    config = a_config(tmp_path, (drive, drive), cache)
    config = replace(config, data=replace(config.data, validation=()), max_steps=2)
    result = train(replace(config, **with_memory(kind)), show_progress=False)
    model, metadata = load_weights(result.weights)
    assert model.config.memory.kind == kind
    assert (model.velocity_head is not None) == (kind != "none")
    assert metadata["recipe"]["sequences"]["graded"] == 2


def test_memory_without_windows_and_bags_without_poses_are_refused(
    prepared: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match=r"sequences\.history"):
        a_config(tmp_path, ("a", "b"), None, model=with_memory("gru")["model"])
    model = replace(MODEL, memory=MemoryConfig("gru", max_gap_s=0.3))
    with pytest.raises(ConfigurationError, match="max_gap_s"):
        WindowDataset(prepared, model, SequenceConfig(history=1))
    monkeypatch.delitem(prepared[0]._labels, "world_poses")
    with pytest.raises(ConfigurationError, match="without ego poses"):
        windows(prepared)


@pytest.mark.slow
def test_two_processes_train_on_windows_as_one_with_twice_the_batch(
    drive: Any, tmp_path: Any, cache: Any
) -> None:
    config = a_config(tmp_path / "one", (drive, drive), cache, batch_size=4, max_steps=2)
    config = replace(config, data=replace(config.data, validation=()), **with_memory("gru"))
    alone = train(config, show_progress=False)
    two = replace(config, out=tmp_path / "two", batch_size=2)
    recipe = tmp_path / "two.yaml"
    recipe.write_text(yaml.safe_dump(two.to_dict()), encoding="utf-8")
    command = [*TORCHRUN, "-m", "bev_perception.cli.main", "train", "--config", str(recipe)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    together = load_weights(two.out / "weights.safetensors")[0].state_dict()
    start = start_of(config)
    apart, way = 0.0, 0.0
    for name, value in load_weights(alone.weights)[0].named_parameters():
        apart += float((value - together[name]).detach().square().sum())
        way += float((value - start[name]).detach().square().sum())
    assert apart < 1e-4 * way


def start_of(config: Any) -> dict[str, torch.Tensor]:
    torch.manual_seed(config.seed)
    return Segnet(config.model).state_dict()
