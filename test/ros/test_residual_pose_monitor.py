# SPDX-License-Identifier: Apache-2.0
"""What diagnostics say of errors of attitude and height."""

from __future__ import annotations

from bev_perception.residual_pose import NO_CORRECTION, CameraTilt, PoseCorrection, PoseResidual
from bev_perception.ros.camera_status import Level, Status
from bev_perception.ros.residual_pose_monitor import ResidualPoseMonitor

SURE = PoseResidual(
    0.1, 2.0, -0.02, 0.1, 0.1, 0.01, lasting_roll_deg=0.1, lasting_pitch_deg=2.0, lasting_s=3.0
)


def told(residual: PoseResidual) -> Status:
    monitor = ResidualPoseMonitor()
    monitor.measured(residual, PoseCorrection(pitch_deg=2.0))
    (status,) = monitor.statuses()
    assert status.level == monitor.level
    return status


def test_nothing_is_said_where_nothing_is_measured() -> None:
    monitor = ResidualPoseMonitor()
    assert monitor.statuses() == []
    monitor.measured(None, NO_CORRECTION)
    assert monitor.statuses() == []


def test_a_passing_offset_is_reported_and_no_fault() -> None:
    status = told(SURE)
    assert status.level is Level.OK
    assert status.message == ("residual pose: roll +0.10, pitch +2.00 degrees, height -0.02 m")
    assert status.values["corrected_pitch_deg"] == "+2.00"


def test_a_lasting_offset_is_warned_of_with_its_angle() -> None:
    status = told(PoseResidual(**{**vars(SURE), "lasting_s": 15.0}))
    assert status.level is Level.WARN
    assert "for 15 s all cameras together have been turned by roll +0.1, pitch +2.0" in (
        status.message
    )


def test_a_lasting_height_is_warned_of() -> None:
    status = told(PoseResidual(lasting_s=12.0, lasting_height_m=-0.15))
    assert status.level is Level.WARN
    assert "0.15 m lower above the ground than the calibration says" in status.message


def test_a_slipped_mount_is_named() -> None:
    cameras = {"front": CameraTilt(), "left": CameraTilt(0.3, -2.0, 0.2, is_slipped=True)}
    status = told(PoseResidual(cameras=cameras))
    assert status.level is Level.WARN
    assert "camera left is turned by 2.0 degrees (roll +0.3, pitch -2.0)" in status.message


def test_too_little_evidence_is_said() -> None:
    assert "too few vertical edges" in told(PoseResidual(1.0, 1.0)).message
