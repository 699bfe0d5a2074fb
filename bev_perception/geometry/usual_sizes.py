# SPDX-License-Identifier: Apache-2.0
"""How large objects are where a source does not say, or says something impossible."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

USUAL_SIZE: dict[str, tuple[float, float, float]] = {
    "car": (4.6, 1.9, 1.5),
    "van": (5.6, 2.1, 2.5),
    "truck": (7.8, 2.6, 3.4),
    "bus": (11.0, 2.6, 3.2),
    "motorcycle": (2.2, 0.8, 1.6),
    "bicycle": (1.8, 0.6, 1.7),
    "pedestrian": (0.5, 0.5, 1.8),
}
"""Length, width and height in metres, by class."""

SMALLEST_M, LARGEST_M = 0.1, 30.0


def is_possible_size(size: NDArray[np.float64]) -> bool:
    """Whether length, width and height may be those of a road user.

    Some two-wheelers of CARLA have none, or one of 250 m (carla issues 3670, 4189, 5376 and
    7596, all releases before 0.9.16).
    """
    return bool(
        np.isfinite(size).all() and (size >= SMALLEST_M).all() and (size <= LARGEST_M).all()
    )


def usual_size(label: str) -> NDArray[np.float64]:
    """(3,) of a class; that of a car where the class has none."""
    return np.array(USUAL_SIZE.get(label, USUAL_SIZE["car"]))
