# SPDX-License-Identifier: Apache-2.0
"""Where answers are judged: parts of the plane around base_link."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.errors import ConfigurationError


@dataclass(frozen=True)
class Region:
    """A part of the plane around base_link, judged at points.

    Attributes:
        name: key in results.
        kind: "box" (max of |x| and |y|) or "ring" (distance).
        inner_m, outer_m: bounds in metres, inner included, outer excluded.
    """

    name: str
    kind: str
    inner_m: float
    outer_m: float

    def __post_init__(self) -> None:
        if self.kind not in ("box", "ring") or not 0 <= self.inner_m < self.outer_m:
            raise ConfigurationError(
                f"region {self.name!r}: kind must be box or ring with 0 <= inner < outer, got "
                f"{self.kind!r}, {self.inner_m} to {self.outer_m} m"
            )

    def contains(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Whether points (..., 2) in metres of base_link lie in the region."""
        values = np.asarray(points, dtype=np.float64)
        if self.kind == "box":
            measure = np.abs(values).max(axis=-1)
        else:
            measure = np.linalg.norm(values, axis=-1)
        return (measure >= self.inner_m) & (measure < self.outer_m)


NEAR = Region("within_25m", "box", 0.0, 25.0)
WIDE = Region("within_50m", "box", 0.0, 50.0)

DEFAULT_REGIONS = (
    NEAR,
    WIDE,
    Region("ring_0_10m", "ring", 0.0, 10.0),
    Region("ring_10_20m", "ring", 10.0, 20.0),
    Region("ring_20_25m", "ring", 20.0, 25.0),
    Region("ring_0_20m", "ring", 0.0, 20.0),
    Region("ring_20_35m", "ring", 20.0, 35.0),
    Region("ring_35_50m", "ring", 35.0, 50.0),
)
"""What every evaluation reports."""

MAIN_REGIONS = (NEAR, WIDE)
"""Where the measures are taken that need more than counts of cells."""
