# SPDX-License-Identifier: Apache-2.0
"""Where cameras usually sit on a vehicle, and where their names say that they look."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

HEIGHTS_M = (0.2, 4.5)
"""Of cameras on cars, vans and buses above the ground."""

REACH_M = (12.0, 3.0)
"""Farthest that a camera is mounted from base_link, along and across."""

_DIRECTIONS = {
    "frontleft": 45, "frontright": -45, "rearleft": 135, "rearright": -135,
    "backleft": 135, "backright": -135, "leftfront": 45, "rightfront": -45,
    "leftrear": 135, "rightrear": -135, "leftback": 135, "rightback": -135,
    "front": 0, "left": 90, "rear": 180, "back": 180, "right": -90, "forward": 0,
}  # fmt: skip
"""Degrees to the left of ahead that a name tells."""

_FEWEST = 3
_SPREAD_M = 0.1


def name_direction(name: str) -> float | None:
    """Degrees to the left of ahead that a camera's name tells; None where it tells none."""
    letters = re.sub(r"[^a-z]", "", name.lower().replace("camera", "").replace("cam", ""))
    for word, degrees in _DIRECTIONS.items():
        if word in letters:
            return float(degrees)
    return None


def side_of(azimuth_deg: float) -> str:
    """A direction in words and degrees to the left of ahead."""
    sides = ("ahead", "left", "back", "right")
    return f"{sides[round(azimuth_deg / 90) % 4]} ({azimuth_deg:.0f} deg)"


def outward_m(base_T_cameras: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """How far each camera sits from the rig's middle along its own view, metres.

    Cameras of a rig look away from each other's middle, not across the vehicle, so these are
    positive or small.

    Args:
        base_T_cameras: (S, 4, 4), optical frames.

    Returns:
        (S,), None where too few cameras, all at one place, or one that looks up or down
        tell nothing.
    """
    if len(base_T_cameras) < _FEWEST:
        return None
    positions, axes = base_T_cameras[:, :2, 3], base_T_cameras[:, :2, 2]
    lengths = np.linalg.norm(axes, axis=1)
    spread = positions - positions.mean(axis=0)
    if np.linalg.norm(spread, axis=1).max() < _SPREAD_M or lengths.min() < _SPREAD_M:
        return None
    return np.asarray((spread * axes).sum(axis=1) / lengths)
