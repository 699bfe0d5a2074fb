# SPDX-License-Identifier: Apache-2.0
"""Errors of attitude and height that calibration and ego pose do not know of, from images."""

from bev_perception.residual_pose.correction import (
    NO_CORRECTION,
    PoseCorrection,
    next_correction,
)
from bev_perception.residual_pose.estimator import ResidualPoseEstimator
from bev_perception.residual_pose.residual import NOTHING_KNOWN, CameraTilt, PoseResidual

__all__ = [
    "NOTHING_KNOWN",
    "NO_CORRECTION",
    "CameraTilt",
    "PoseCorrection",
    "PoseResidual",
    "ResidualPoseEstimator",
    "next_correction",
]
