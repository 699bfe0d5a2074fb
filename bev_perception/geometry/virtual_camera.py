# SPDX-License-Identifier: Apache-2.0
"""Directions of a canonical rig, see perception/rectification.py."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bev_perception.errors import ConfigurationError


@dataclass(frozen=True)
class VirtualCamera:
    """A direction of the canonical rig, looked at as an ideal camera would.

    Attributes:
        yaw_deg, pitch_deg, roll_deg: how it looks in base_link: yaw to the left, pitch down.
        horizontal_fov_deg: between the outer edges of its image.

    Raises:
        ConfigurationError: a value makes no camera.
    """

    yaw_deg: float
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    horizontal_fov_deg: float = 90.0

    def __post_init__(self) -> None:
        for name in ("yaw_deg", "pitch_deg", "roll_deg", "horizontal_fov_deg"):
            object.__setattr__(self, name, float(getattr(self, name)))
        angles = (self.yaw_deg, self.pitch_deg, self.roll_deg)
        if not np.isfinite(angles).all():
            raise ConfigurationError(f"angles of a virtual camera must be finite, got {angles}")
        if not 1.0 <= self.horizontal_fov_deg <= 170.0:
            raise ConfigurationError(
                f"horizontal_fov_deg of a virtual camera must lie in 1 to 170, got "
                f"{self.horizontal_fov_deg}"
            )
