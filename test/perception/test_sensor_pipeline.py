# SPDX-License-Identifier: Apache-2.0
"""The pipeline gives a network with a sensor the levelled cloud, and goes on without one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_network import CONFIG

from bev_perception.geometry import CameraFrame, FrameSet, RigidTransform, load_rig
from bev_perception.inference import TorchEngine
from bev_perception.model import Segnet
from bev_perception.perception import Pipeline, PipelineSettings
from bev_perception.perception.point_labels import FREE, OCCUPIED, labelled_points
from bev_perception.residual_pose import PoseCorrection
from bev_perception.resources import config_path

RIG = load_rig(config_path("rigs/default.yaml"))
STEEP = RigidTransform.from_euler(0.1, -0.2, 0.7)
"""Pose of a vehicle on a slope."""


@pytest.fixture(scope="module")
def sensing() -> TorchEngine:
    torch.manual_seed(0)
    model = Segnet(replace(CONFIG, sensor="lidar"))
    assert model.sensor_convolution is not None
    torch.nn.init.normal_(model.sensor_convolution.weight, std=0.5)
    return TorchEngine(model, precision="fp32")


def a_set(points: np.ndarray | None, pose: RigidTransform | None = None) -> FrameSet:
    random = np.random.default_rng(1)
    frames = {
        name: CameraFrame(name, 0, random.integers(0, 256, (448, 672, 3), dtype=np.uint8))
        for name in RIG
    }
    return FrameSet(0, frames, world_T_base=pose, points=points)


def answer(engine: TorchEngine, frame_set: FrameSet) -> np.ndarray:
    pipeline = Pipeline(engine, RIG, PipelineSettings(level_tolerance_deg=0.0))
    return pipeline.process(frame_set).probability


def a_cloud() -> np.ndarray:
    random = np.random.default_rng(0)
    return random.uniform((-20, -20, -0.4), (20, 20, 1.4), (500, 3))


def test_a_missing_cloud_is_an_empty_one(sensing: TorchEngine) -> None:
    missing, empty = a_set(None), a_set(np.zeros((0, 3)))
    np.testing.assert_array_equal(answer(sensing, missing), answer(sensing, empty))
    assert np.abs(answer(sensing, a_set(a_cloud())) - answer(sensing, missing)).max() > 1e-3


def test_points_are_levelled_with_the_vehicle(
    sensing: TorchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands upright in the world fills one cell, however the vehicle is tilted."""
    pole = np.stack([np.full(9, 6.2), np.full(9, -3.1), np.linspace(0.0, 1.0, 9)], axis=1)
    level_T_base = RigidTransform.from_euler(yaw=-0.7) @ STEEP
    seen = []
    infer = sensing.infer
    monkeypatch.setattr(sensing, "infer", lambda *a: seen.append(a[-1]) or infer(*a))
    answer(sensing, a_set(level_T_base.inverse().apply(pole), STEEP))
    row, column = np.floor(CONFIG.grid.to_cells(np.array([6.2, -3.1])) + 0.5).astype(int)
    expected = torch.zeros_like(seen[0])
    expected[0, :, row, column] = 1.0
    assert torch.equal(seen[0], expected)


def test_a_measured_residual_pose_is_taken_out_of_points_too(
    sensing: TorchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pole is told leaning by an unknown pitch, and rests in its cell once that is known."""
    pole = np.stack([np.full(9, 6.2), np.full(9, -3.1), np.linspace(0.0, 1.0, 9)], axis=1)
    correction = PoseCorrection(0.5, -2.0, 0.06)
    told_T_base = correction.true_T_told.inverse()
    assert np.abs(told_T_base.apply(pole)[:, 2] - pole[:, 2]).min() > 0.1
    seen = []
    infer = sensing.infer
    monkeypatch.setattr(sensing, "infer", lambda *a: seen.append(a[-1]) or infer(*a))
    pipeline = Pipeline(sensing, RIG, PipelineSettings(residual_pose=True))
    monkeypatch.setattr(pipeline._residual, "settle", lambda calibration: correction)
    monkeypatch.setattr(pipeline._residual, "observe", lambda *a: None)
    points = told_T_base.apply(pole)
    output = pipeline.process(a_set(points))
    row, column = np.floor(CONFIG.grid.to_cells(np.array([6.2, -3.1])) + 0.5).astype(int)
    expected = torch.zeros_like(seen[0])
    expected[0, :, row, column] = 1.0
    assert torch.equal(seen[0], expected)
    everything = np.ones_like(output.probability)
    full = replace(output, probability=everything, unknown=everything == 0.0, objects=())
    labels = labelled_points(points, full, 0.5, 1.05)
    assert labels["label"].tolist() == [FREE] * 2 + [OCCUPIED] * 7


def test_a_network_for_cameras_alone_does_not_look_at_points(engine: TorchEngine) -> None:
    with_points, without = a_set(a_cloud()), a_set(None)
    np.testing.assert_array_equal(answer(engine, with_points), answer(engine, without))
