# SPDX-License-Identifier: Apache-2.0
"""What is known about the errors of a rig's attitude and height."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class CameraTilt:
    """How one camera is turned against the rest of the rig.

    Attributes:
        roll_deg, pitch_deg: about base_link's x and y axes, measured minus told.
        sigma_deg: of the less certain direction.
        is_slipped: whether it surely is more than the limit.
    """

    roll_deg: float = 0.0
    pitch_deg: float = 0.0
    sigma_deg: float = math.inf
    is_slipped: bool = False

    @property
    def angle_deg(self) -> float:
        """Size of the turn."""
        return math.hypot(self.roll_deg, self.pitch_deg)


@dataclass(frozen=True)
class PoseResidual:
    """Measured attitude and height of the rig minus those that it was told.

    Attributes:
        roll_deg, pitch_deg: about base_link's x and y axes; a positive pitch means that the
            cameras look further down than calibration and ego pose say.
        height_m: positive means that the cameras are higher than the calibration says.
        sigma_roll_deg, sigma_pitch_deg, sigma_height_m: one standard deviation.
        lasting_roll_deg, lasting_pitch_deg, lasting_height_m: average of the last half minute.
        lasting_s: seconds of evidence behind that average.
        num_edges, num_tiles: vertical edges and tiles of ground behind it.
        cameras: by name.
    """

    roll_deg: float = 0.0
    pitch_deg: float = 0.0
    height_m: float = 0.0
    sigma_roll_deg: float = math.inf
    sigma_pitch_deg: float = math.inf
    sigma_height_m: float = math.inf
    lasting_roll_deg: float = 0.0
    lasting_pitch_deg: float = 0.0
    lasting_height_m: float = 0.0
    lasting_s: float = 0.0
    num_edges: int = 0
    num_tiles: int = 0
    cameras: Mapping[str, CameraTilt] = field(default_factory=dict)

    @property
    def is_attitude_known(self) -> bool:
        """Whether there is evidence enough for roll and pitch."""
        return max(self.sigma_roll_deg, self.sigma_pitch_deg) < KNOWN_DEG

    @property
    def is_height_known(self) -> bool:
        """Whether there is evidence enough for the height."""
        return self.sigma_height_m < KNOWN_M


KNOWN_DEG = 0.3
"""Standard deviation, degrees, from which on an angle counts as unknown."""
KNOWN_M = 0.06
"""The same of heights, metres."""

NOTHING_KNOWN = PoseResidual()
