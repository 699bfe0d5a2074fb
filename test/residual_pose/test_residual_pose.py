# SPDX-License-Identifier: Apache-2.0
"""Errors of attitude and height are found in images of known geometry."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from striped_street import SPEED_M_S, street_drive, street_rig, told_wrong

from bev_perception.geometry import FrameSet, Rig, RigidTransform
from bev_perception.residual_pose import (
    NO_CORRECTION,
    PoseResidual,
    ResidualPoseEstimator,
    next_correction,
)


def observed(rig: Rig, sets: Iterable[FrameSet]) -> ResidualPoseEstimator:
    estimator = ResidualPoseEstimator(rig)
    for frame_set in sets:
        estimator.observe(frame_set)
    return estimator


def in_fog(frame_set: FrameSet, stamp_ns: int) -> FrameSet:
    frames = {
        name: replace(frame, image=np.full_like(frame.image, 128))
        for name, frame in frame_set.frames.items()
    }
    return FrameSet(stamp_ns, frames)


def test_a_rig_that_is_told_right_is_left_alone(drive: list[FrameSet]) -> None:
    residual = observed(street_rig(), drive).residual
    assert residual.is_attitude_known
    assert residual.is_height_known
    assert max(abs(residual.roll_deg), abs(residual.pitch_deg)) < 0.1
    assert abs(residual.height_m) < 0.02
    assert next_correction(NO_CORRECTION, residual) == NO_CORRECTION
    assert not any(tilt.is_slipped for tilt in residual.cameras.values())


@pytest.mark.parametrize(("roll_deg", "pitch_deg", "height_m"), [(0, 3, 0), (-2, -3, 0.2)])
def test_errors_are_measured_within_two_seconds(
    drive: list[FrameSet], roll_deg: float, pitch_deg: float, height_m: float
) -> None:
    rig = told_wrong(street_rig(), roll_deg, pitch_deg, height_m)
    residual = observed(rig, drive[:21]).residual
    assert residual.roll_deg == pytest.approx(-roll_deg, abs=0.3)
    assert residual.pitch_deg == pytest.approx(-pitch_deg, abs=0.3)
    assert residual.height_m == pytest.approx(-height_m, abs=0.03)


def test_the_correction_gives_the_true_rig(drive: list[FrameSet]) -> None:
    residual = observed(told_wrong(street_rig(), 2.0, -1.0, -0.1), drive).residual
    told = told_wrong(street_rig(), 2.0, -1.0, -0.1)
    corrected = next_correction(NO_CORRECTION, residual).applied(told)
    for name, entry in street_rig().cameras.items():
        pose = corrected[name].base_T_camera
        assert pose.is_close(entry.base_T_camera, 0.05, math.radians(0.2)), name


def test_height_needs_poses_and_is_said_to_be_unknown_without(drive: list[FrameSet]) -> None:
    rig = told_wrong(street_rig(), 0.0, 2.0, 0.0)
    residual = observed(rig, [replace(each, world_T_base=None) for each in drive]).residual
    assert residual.pitch_deg == pytest.approx(-2.0, abs=0.3)
    assert not residual.is_height_known
    assert residual.height_m == 0.0


def test_poses_that_are_older_than_their_sets_tell_no_height(drive: list[FrameSet]) -> None:
    """TF at 50 Hz that nobody waits for: by up to 0.12 m less travel than there was."""
    late = []
    for number, each in enumerate(drive):
        assert each.world_T_base is not None
        age_ns = number % 3 * 10_000_000
        missed = RigidTransform.from_euler(translation=(-SPEED_M_S * age_ns / 1e9, 0.0, 0.0))
        older = each.world_T_base @ missed
        late.append(replace(each, world_T_base=older, pose_age_ns=age_ns))
    residual = observed(street_rig(), late).residual
    assert residual.is_height_known
    assert abs(residual.height_m) < 0.02


def test_a_tilt_that_the_pose_knows_is_no_error() -> None:
    tilted = street_drive(12, tilt_deg=(1.5, -2.0))
    residual = observed(street_rig(), tilted).residual
    assert residual.is_attitude_known
    assert max(abs(residual.roll_deg), abs(residual.pitch_deg)) < 0.15
    flat = [
        replace(each, world_T_base=RigidTransform.from_euler(translation=pose.translation))
        for each in tilted
        if (pose := each.world_T_base) is not None
    ]
    residual = observed(street_rig(), flat).residual
    assert residual.roll_deg == pytest.approx(1.5, abs=0.3)
    assert residual.pitch_deg == pytest.approx(-2.0, abs=0.3)


def test_a_camera_whose_mount_slipped_is_told_from_the_others(drive: list[FrameSet]) -> None:
    cameras = dict(street_rig().cameras)
    pose = cameras["left"].base_T_camera
    turned = RigidTransform.from_euler(0.0, math.radians(-2.0)).rotation @ pose.rotation
    cameras["left"] = replace(
        cameras["left"], base_T_camera=RigidTransform(turned, pose.translation)
    )
    later = [replace(each, stamp_ns=each.stamp_ns + 2_400_000_000) for each in drive]
    residual = observed(Rig(cameras), [*drive, *later]).residual
    assert [name for name, tilt in residual.cameras.items() if tilt.is_slipped] == ["left"]
    assert residual.cameras["left"].pitch_deg == pytest.approx(2.0, abs=0.4)
    assert max(abs(residual.roll_deg), abs(residual.pitch_deg)) < 0.2
    correction = next_correction(NO_CORRECTION, residual)
    assert [name for name, _, _ in correction.cameras] == ["left"]


def test_where_nothing_can_be_seen_the_estimate_goes_to_zero(drive: list[FrameSet]) -> None:
    estimator = observed(told_wrong(street_rig(), 0.0, 3.0, 0.0), drive)
    assert estimator.residual.pitch_deg < -2.5
    for number in range(30):
        stamp_ns = drive[-1].stamp_ns + (number + 1) * 1_000_000_000
        residual = estimator.observe(in_fog(drive[-1], stamp_ns))
    assert not residual.is_attitude_known
    assert abs(residual.pitch_deg) < 0.3


def test_a_jump_of_the_clock_forgets_everything(drive: list[FrameSet]) -> None:
    estimator = observed(told_wrong(street_rig(), 0.0, 3.0, 0.0), drive)
    assert estimator.observe(in_fog(drive[-1], drive[-1].stamp_ns)).pitch_deg < -2.5
    residual = estimator.observe(in_fog(drive[0], drive[0].stamp_ns))
    assert residual.pitch_deg == 0.0
    assert not residual.is_attitude_known


def test_corrections_begin_late_and_end_late() -> None:
    def corrected(last: float, measured: float, sigma: float = 0.1) -> float:
        before = replace(NO_CORRECTION, pitch_deg=last)
        residual = PoseResidual(0.0, measured, 0.0, sigma, sigma, 0.01)
        return next_correction(before, residual).pitch_deg

    assert corrected(0.0, 0.25) == 0.0
    assert corrected(0.0, 0.35) == pytest.approx(0.35, abs=0.011)
    assert corrected(0.0, 0.35, sigma=0.2) == 0.0
    assert corrected(0.34, 0.28) == 0.34
    assert corrected(0.34, 0.2) == pytest.approx(0.2)
    assert corrected(0.2, 0.1) == 0.0
