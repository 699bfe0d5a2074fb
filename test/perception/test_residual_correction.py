# SPDX-License-Identifier: Apache-2.0
"""Measured errors of the rig are taken out of the lift, and only they."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from small_network import CONFIG

from bev_perception.geometry import (
    BODY_T_OPTICAL,
    CameraFrame,
    FrameSet,
    PinholeCamera,
    Rig,
    RigCamera,
    RigidTransform,
)
from bev_perception.inference import TorchEngine
from bev_perception.perception import Calibration, Pipeline, PipelineSettings
from bev_perception.perception.residual_correction import ResidualCorrection
from bev_perception.residual_pose import PoseCorrection, PoseResidual, ResidualPoseEstimator

CAMERA = PinholeCamera.from_field_of_view(96, 64, 90.0)
LEVEL = RigidTransform.identity()


def rig() -> Rig:
    front = RigidTransform.from_euler(0.0, 0.1, 0.0, (1.0, 0.0, 1.6)) @ BODY_T_OPTICAL
    rear = RigidTransform.from_euler(0.0, 0.1, math.pi, (0.0, 0.0, 1.6)) @ BODY_T_OPTICAL
    return Rig({"front": RigCamera(CAMERA, front), "rear": RigCamera(CAMERA, rear)})


def noise(number: int) -> FrameSet:
    rng = np.random.default_rng(number)
    stamp_ns = number * 100_000_000
    frames = {
        name: CameraFrame(name, stamp_ns, rng.integers(0, 256, (64, 96, 3)).astype(np.uint8))
        for name in rig().names
    }
    return FrameSet(stamp_ns, frames)


def test_a_corrected_table_is_the_true_rigs_table() -> None:
    told = rig().moved(RigidTransform.from_euler(0.0, math.radians(2.0), 0.0, (0.0, 0.0, 0.1)))
    correction = PoseCorrection(0.0, -2.0, -0.1)
    # One turns about base_link's origin, then lifts; its inverse lifts first.
    undone = correction.applied(told)
    present = (True, True)
    table = Calibration(told, CONFIG).table(present, LEVEL, correction)
    direct = Calibration(undone, CONFIG).table(present, LEVEL)
    assert (table.unknown == direct.unknown).all()
    for name, entry in rig().cameras.items():
        assert undone[name].base_T_camera.is_close(entry.base_T_camera, 0.005, 1e-9)


def test_the_next_sets_lift_is_corrected_by_what_was_measured(
    engine: TorchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = PoseResidual(0.0, 2.0, 0.0, 0.1, 0.1, 0.01)
    monkeypatch.setattr(ResidualPoseEstimator, "observe", lambda self, frame_set: measured)
    pipeline = Pipeline(engine, rig(), PipelineSettings(residual_pose=True))
    plain = Pipeline(engine, rig())
    corrected = Pipeline(engine, PoseCorrection(pitch_deg=2.0).applied(rig()))
    first, second = pipeline.process(noise(1)), pipeline.process(noise(2))
    assert np.array_equal(first.probability, plain.process(noise(1)).probability)
    assert np.array_equal(second.probability, corrected.process(noise(2)).probability)
    assert pipeline.correction == PoseCorrection(pitch_deg=2.0)
    assert pipeline.residual == measured


def test_another_calibration_begins_without_a_correction(
    engine: TorchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = PoseResidual(0.0, 2.0, 0.0, 0.1, 0.1, 0.01)
    monkeypatch.setattr(ResidualPoseEstimator, "observe", lambda self, frame_set: measured)
    pipeline = Pipeline(engine, rig(), PipelineSettings(residual_pose=True))
    pipeline.process(noise(1))
    pipeline.calibration = pipeline.calibrate(rig())
    output = pipeline.process(noise(2))
    expected = Pipeline(engine, rig()).process(noise(2))
    assert np.array_equal(output.probability, expected.probability)


def test_a_set_that_cannot_be_measured_costs_one_set_and_not_all_that_follow(
    engine: TorchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def observe(self: ResidualPoseEstimator, frame_set: FrameSet) -> PoseResidual:
        if frame_set.stamp_ns == noise(1).stamp_ns:
            raise FloatingPointError("spoiled")
        return PoseResidual()

    monkeypatch.setattr(ResidualPoseEstimator, "observe", observe)
    with ThreadPoolExecutor(1) as helper:
        correction, calibration = ResidualCorrection(helper), Calibration(rig(), CONFIG)
        correction.settle(calibration)
        correction.observe(noise(1), lambda changed: None)
        with pytest.raises(FloatingPointError, match="spoiled"):
            correction.settle(calibration)
        correction.observe(noise(2), lambda changed: None)
        assert correction.settle(calibration) == PoseCorrection()


def test_images_without_evidence_change_nothing(engine: TorchEngine) -> None:
    pipeline = Pipeline(engine, rig(), PipelineSettings(residual_pose=True))
    plain = Pipeline(engine, rig())
    for number in range(1, 6):
        expected = plain.process(noise(number))
        assert np.array_equal(pipeline.process(noise(number)).probability, expected.probability)
    assert plain.residual is None


def test_lost_and_black_cameras_are_not_measured(engine: TorchEngine) -> None:
    pipeline = Pipeline(engine, rig(), PipelineSettings(residual_pose=True))
    dark = {"front": replace(noise(1).frames["front"], image=np.zeros((64, 96, 3), np.uint8))}
    for number in range(1, 4):
        output = pipeline.process(FrameSet(number * 100_000_000, dark, ("rear",)))
    pipeline.settle()
    assert output.unknown.all()
    assert pipeline.residual is not None
    assert pipeline.residual.num_edges == 0
