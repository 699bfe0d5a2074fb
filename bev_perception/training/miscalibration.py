# SPDX-License-Identifier: Apache-2.0
"""Calibration that is told wrong while images and labels stay true.

A vehicle that brakes pitches by a degree or two, and nobody tells the extrinsics; a mounting
gives way; a lens is measured badly. The rig moves with the vehicle, so told extrinsics that are
off by a small motion of base_link are exactly what such a moment looks like to the network. A
LiDAR or radar that moves with the vehicle tells its points as wrongly as the cameras.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bev_perception.datasets.prepared_bag import Sample
from bev_perception.errors import ConfigurationError
from bev_perception.geometry import Rig, RigCamera, RigidTransform
from bev_perception.geometry.point_values import moved_points


@dataclass(frozen=True)
class MiscalibrationConfig:
    """How wrong the calibration may be told; 0 leaves a part out.

    Attributes:
        share: of the samples that are told wrong at all.
        pitch_deg, roll_deg: largest turns of the whole vehicle that nobody knows of, degrees.
        height_m: largest unknown lift of the whole vehicle, metres.
        camera_deg: largest error of each camera's own angles, degrees.
        camera_m: largest error of each camera's own position along each axis, metres.
        focal: largest error of each camera's focal length, a share.
    """

    share: float = 1.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    height_m: float = 0.0
    camera_deg: float = 0.0
    camera_m: float = 0.0
    focal: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise ConfigurationError(f"share must lie in 0 to 1, got {self.share}")
        for name in ("pitch_deg", "roll_deg", "camera_deg"):
            if not 0.0 <= getattr(self, name) <= 45.0:
                raise ConfigurationError(f"{name} must lie in 0 to 45, got {getattr(self, name)}")
        for name in ("height_m", "camera_m"):
            if not 0.0 <= getattr(self, name) <= 2.0:
                raise ConfigurationError(f"{name} must lie in 0 to 2, got {getattr(self, name)}")
        if not 0.0 <= self.focal <= 0.5:
            raise ConfigurationError(f"focal must lie in 0 to 0.5, got {self.focal}")

    @property
    def changes_anything(self) -> bool:
        """Whether any calibration is told wrong."""
        vehicle = any((self.pitch_deg, self.roll_deg, self.height_m))
        cameras = any((self.camera_deg, self.camera_m, self.focal))
        return self.share > 0.0 and (vehicle or cameras)


def miscalibrated(
    sample: Sample, config: MiscalibrationConfig, random: np.random.Generator
) -> Sample:
    """The sample with a rig told wrong, every error uniform within its bounds."""
    told = random.random() < config.share
    roll, pitch, height = random.uniform(-1.0, 1.0, size=3) * (
        np.radians(config.roll_deg),
        np.radians(config.pitch_deg),
        config.height_m,
    )
    vehicle = RigidTransform.from_euler(roll, pitch, translation=(0.0, 0.0, height))
    cameras = {
        name: _miscalibrated_camera(entry, config, random)
        for name, entry in sample.rig.cameras.items()
    }
    if not told:
        return sample
    return replace(
        sample,
        rig=Rig(cameras).moved(vehicle),
        taken_by=sample.rig.moved(vehicle),
        points=None if sample.points is None else moved_points(vehicle, sample.points),
    )


def _miscalibrated_camera(
    entry: RigCamera, config: MiscalibrationConfig, random: np.random.Generator
) -> RigCamera:
    angles = np.radians(config.camera_deg) * random.uniform(-1.0, 1.0, size=3)
    position = config.camera_m * random.uniform(-1.0, 1.0, size=3)
    matrix = entry.camera.matrix.copy()
    matrix[:2, :2] *= 1.0 + config.focal * random.uniform(-1.0, 1.0)
    pose = entry.base_T_camera @ RigidTransform.from_euler(*angles)
    pose = RigidTransform(pose.rotation, pose.translation + position)
    return RigCamera(replace(entry.camera, matrix=matrix), pose, entry.frame_id)
