# SPDX-License-Identifier: Apache-2.0
"""Rigs drawn around a given one, as every vehicle's mounting differs a little.

Training on one rig alone teaches that rig: its heights and angles hide in the weights. Heights
and positions cannot be changed in images afterwards, so that variation begins here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import Rig, RigCamera, RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL

COMMON_HEIGHT = 2.0 / 3.0
"""Share of the height that all cameras of a rig have in common, as on a higher vehicle."""

LOWEST_M = 0.2
"""No camera is brought nearer to the ground than this."""


@dataclass(frozen=True)
class RigVariation:
    """Bounds of a draw, uniform between plus and minus each.

    Attributes:
        height_m: of the mounting heights, metres; mostly in common.
        position_m: of each camera's place along x and along y, metres.
        roll_deg, pitch_deg, yaw_deg: of each camera's angles, degrees.
        focal: of each camera's focal length, a share.
    """

    height_m: float = 0.2
    position_m: float = 0.2
    roll_deg: float = 1.0
    pitch_deg: float = 3.0
    yaw_deg: float = 5.0
    focal: float = 0.1

    def __post_init__(self) -> None:
        for name in ("height_m", "position_m", "roll_deg", "pitch_deg", "yaw_deg", "focal"):
            if not getattr(self, name) >= 0.0:
                raise ConfigurationError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.focal >= 1.0:
            raise ConfigurationError(f"focal must be a share below 1, got {self.focal}")


def varied_rig(rig: Rig, seed: int, town: int, variation: RigVariation | None = None) -> Rig:
    """The rig of one town: the same names, image sizes and frames, another calibration.

    Args:
        rig: to draw around.
        seed: of the variation.
        town: of the town; the same two numbers draw the same rig.
        variation: bounds; default RigVariation().
    """
    variation = variation or RigVariation()
    random = np.random.default_rng((seed, town, 0x516))
    height = COMMON_HEIGHT * variation.height_m * random.uniform(-1.0, 1.0)
    return Rig(
        {
            name: _varied_camera(entry, variation, height, random)
            for name, entry in rig.cameras.items()
        }
    )


def _varied_camera(
    entry: RigCamera, variation: RigVariation, height: float, random: np.random.Generator
) -> RigCamera:
    own_height = (1.0 - COMMON_HEIGHT) * variation.height_m
    bounds = np.array([variation.position_m, variation.position_m, own_height])
    position = entry.base_T_camera.translation + bounds * random.uniform(-1.0, 1.0, size=3)
    position[2] = max(position[2] + height, min(LOWEST_M, entry.base_T_camera.translation[2]))
    body = entry.base_T_camera @ BODY_T_OPTICAL.inverse()
    angles = np.radians([variation.roll_deg, variation.pitch_deg, variation.yaw_deg])
    angles = body.euler + angles * random.uniform(-1.0, 1.0, size=3)
    roll, pitch, yaw = angles
    turned = RigidTransform.from_euler(roll, pitch, yaw, position) @ BODY_T_OPTICAL
    matrix = entry.camera.matrix.copy()
    matrix[:2, :2] *= 1.0 + variation.focal * random.uniform(-1.0, 1.0)
    return RigCamera(replace(entry.camera, matrix=matrix), turned, entry.frame_id)
