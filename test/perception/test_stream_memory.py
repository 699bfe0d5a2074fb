# SPDX-License-Identifier: Apache-2.0
"""The pipeline of a network with memory: uses it, does without, and says which."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_network import CONFIG
from test_pipeline import make_rig

from bev_perception.errors import EngineError
from bev_perception.geometry import BevGrid, BevOutput, CameraFrame, FrameSet, RigidTransform
from bev_perception.inference import TorchEngine, make_engine
from bev_perception.inference.exported_graph import ModelSource
from bev_perception.model import Segnet
from bev_perception.model.memory_config import MemoryConfig
from bev_perception.perception import Pipeline, PipelineSettings
from bev_perception.perception.object_velocities import with_velocities

RIG = make_rig()
GRID = CONFIG.grid


def network(kind: str) -> Segnet:
    torch.manual_seed(0)
    model = Segnet(replace(CONFIG, memory=MemoryConfig(kind)))
    if model.memory is not None:
        torch.nn.init.normal_(model.memory.to_bev.weight, std=0.5)
        torch.nn.init.normal_(model.memory.to_bev.bias, std=0.5)
    return model


def moment(index: int, has_pose: bool = True, jump_m: float = 0.0) -> FrameSet:
    stamp_ns = 10**9 + index * 250_000_000
    random = np.random.default_rng(index)
    frames = {}
    for name in RIG.names:
        size = (RIG[name].camera.height, RIG[name].camera.width, 3)
        frames[name] = CameraFrame(name, stamp_ns, random.integers(0, 256, size, dtype=np.uint8))
    pose = RigidTransform.from_euler(yaw=0.05 * index, translation=(0.9 * index + jump_m, 3.0, 0.0))
    return FrameSet(stamp_ns, frames, (), pose if has_pose else None)


def outputs(kind: str, sets: list[FrameSet]) -> list[BevOutput]:
    pipeline = Pipeline(TorchEngine(network(kind)), RIG)
    return [pipeline.process(one) for one in sets]


@pytest.mark.parametrize("kind", ["queue", "gru"])
def test_a_set_is_answered_by_what_came_before(kind: str) -> None:
    alone = outputs(kind, [moment(3)])[-1]
    after = outputs(kind, [moment(index) for index in range(4)])[-1]
    again = outputs(kind, [moment(index) for index in range(4)])[-1]
    assert np.abs(alone.probability - after.probability).max() > 1e-3
    assert np.array_equal(after.probability, again.probability)


@pytest.mark.parametrize("kind", ["queue", "gru"])
def test_after_a_teleport_nothing_of_before_is_left(kind: str) -> None:
    there = [moment(index, jump_m=500.0) for index in (2, 3)]
    drive = outputs(kind, [moment(0), moment(1), *there])
    fresh = outputs(kind, there)
    assert np.array_equal(drive[2].probability, fresh[0].probability)
    assert np.array_equal(drive[3].probability, fresh[1].probability)


@pytest.mark.parametrize("kind", ["queue", "gru"])
def test_where_odometry_takes_over_nothing_of_before_is_left_in_memory_or_velocities(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The offset between map and odom is 2 m, which passes for a correction."""
    settings = PipelineSettings(center_threshold=0.05, occupancy_threshold=0.05, track=True)
    localised = [replace(moment(index), world_frame="map") for index in (0, 1)]
    drifted = [replace(moment(index, jump_m=2.0), world_frame="odom") for index in (2, 3)]
    pipeline, fresh = (Pipeline(TorchEngine(network(kind)), RIG, settings) for _ in range(2))
    for one in localised:
        assert pipeline.process(one).objects, "nothing found: a weak test"
    with caplog.at_level(logging.INFO):
        for one in drifted:
            ours, expected = pipeline.process(one), fresh.process(one)
            assert np.array_equal(ours.probability, expected.probability)
            for box, other in zip(ours.objects, expected.objects, strict=True):
                np.testing.assert_array_equal(box.velocity, other.velocity)
                np.testing.assert_array_equal(box.pose.matrix, other.pose.matrix)
    assert "is told in 'odom', before 'map'" in caplog.text


def test_without_a_pose_a_set_is_answered_for_itself_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pipeline = Pipeline(TorchEngine(network("gru")), RIG)
    with caplog.at_level(logging.WARNING):
        pipeline.process(moment(0))
        blind = [pipeline.process(moment(index, has_pose=False)) for index in (1, 2)]
    assert caplog.text.count("memory is not used from 1.250 s on") == 1
    assert "pose is not known" in pipeline.memory.status
    single = outputs("gru", [moment(2, has_pose=False)])[0]
    assert np.array_equal(blind[1].probability, single.probability)
    pipeline.process(moment(3))
    assert pipeline.memory.status == "one state"


@pytest.mark.parametrize("kind", ["queue", "gru"])
def test_a_pose_that_is_older_than_its_set_levels_it_but_reaches_no_memory(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """TF at 2 Hz, sets at 4 Hz: every other one has a pose of its own time."""
    tilt, late = RigidTransform.from_euler(pitch=0.1), {}
    for index in range(0, 8, 2):
        older = moment(index).world_T_base
        assert older is not None
        tilted = replace(moment(index + 1), world_T_base=older @ tilt, pose_age_ns=250_000_000)
        late[index] = tilted, outputs(kind, [tilted])[0]
    pipeline, exact_alone = (Pipeline(TorchEngine(network(kind)), RIG) for _ in range(2))
    caplog.clear()
    for index, (tilted, single) in late.items():
        ours, expected = pipeline.process(moment(index)), exact_alone.process(moment(index))
        assert np.array_equal(ours.probability, expected.probability)
        ours = pipeline.process(tilted)
        assert np.array_equal(ours.probability, single.probability)
        np.testing.assert_allclose(ours.level_T_base.rotation, tilt.rotation, atol=1e-3)
        assert "newest pose is 0.25 s older than the images" in pipeline.memory.status
    assert caplog.text.count("memory is not used at 1.250 s") == 1
    assert caplog.text.count("memory is not used") == 1
    pipeline.process(moment(8))
    assert "not used" not in pipeline.memory.status
    assert "emptied" not in pipeline.memory.status


def test_what_an_older_pose_shows_of_motion_is_believed_less() -> None:
    settings = PipelineSettings(center_threshold=0.05, occupancy_threshold=0.05, track=True)
    first, after = moment(0), moment(1)
    again = replace(first, stamp_ns=after.stamp_ns, world_T_base=after.world_T_base)
    speeds = []
    for age_ns in (0, 100_000_000):
        pipeline = Pipeline(TorchEngine(network("none")), RIG, settings)
        pipeline.process(first)
        found = pipeline.process(replace(again, pose_age_ns=age_ns)).objects
        assert found, "nothing found: a weak test"
        speeds.append(np.mean([np.linalg.norm(box.velocity) for box in found]))
    assert speeds[1] < 0.8 * speeds[0]


def test_a_pose_that_is_hardly_older_than_its_set_is_not_called_as_old() -> None:
    """Without waiting for TF (tf_timeout_ms 0) it is a period of TF behind at most."""
    pipeline = Pipeline(TorchEngine(network("gru")), RIG)
    pipeline.process(replace(moment(0), pose_age_ns=4_000_000))
    assert "newest pose is 0.004 s older than the images" in pipeline.memory.status


def test_perturbed_calibrations_of_one_set_do_not_disturb_its_memory() -> None:
    pipeline, plain = (Pipeline(TorchEngine(network("gru")), RIG) for _ in range(2))
    for index in range(3):
        pipeline.process(moment(index))
        usual = pipeline.calibration
        pipeline.rig = RIG.moved(RigidTransform.from_euler(pitch=0.1))
        pipeline.process(moment(index))
        pipeline.calibration = usual
        expected = plain.process(moment(index))
    assert np.array_equal(pipeline.process(moment(2)).probability, expected.probability)


def test_velocities_come_from_the_network_once_it_remembers() -> None:
    settings = PipelineSettings(center_threshold=0.05, occupancy_threshold=0.05, track=True)
    pipeline = Pipeline(TorchEngine(network("queue")), RIG, settings)
    first, second = pipeline.process(moment(0)), pipeline.process(moment(1))
    assert first.objects, "nothing found: a weak test"
    assert not any(box.velocity.any() for box in first.objects)
    assert any(box.velocity.any() for box in second.objects)


def test_an_object_gets_the_mean_velocity_of_its_occupied_cells() -> None:
    grid = BevGrid.centered(8.0, 0.5)
    boxes = outputs_of_two_cars()
    velocity = np.zeros((2, *grid.shape), dtype=np.float32)
    velocity[:, :, : grid.num_x // 2] = np.array([3.0, -1.0])[:, None, None]
    velocity[:, :, grid.num_x // 2 :] = np.array([0.0, 5.0])[:, None, None]
    probability = np.full(grid.shape, 0.9, dtype=np.float32)
    probability[: grid.num_y // 2] = 0.0
    rear, front = with_velocities(boxes, grid, velocity, probability)
    np.testing.assert_allclose(rear.velocity, (3.0, -1.0, 0.0), atol=1e-6)
    np.testing.assert_allclose(front.velocity, (0.0, 5.0, 0.0), atol=1e-6)


def outputs_of_two_cars() -> tuple:
    from bev_perception.geometry import ObjectBox

    return tuple(
        ObjectBox(
            "car",
            number,
            RigidTransform.from_euler(translation=(x, 0.0, 0.8)),
            np.array([4.0, 2.0, 1.6]),
        )
        for number, x in enumerate((-4.0, 4.0))
    )


def test_exported_graphs_refuse_a_memory_and_auto_takes_pytorch() -> None:
    with pytest.raises(EngineError, match=r"memory of kind gru.*backend cpu or cuda"):
        ModelSource(network("gru"))
    with pytest.raises(EngineError, match="memory"):
        make_engine(network("gru"), backend="openvino")
    assert make_engine(network("gru"), device="cpu").backend == "cpu"
