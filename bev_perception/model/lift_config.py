# SPDX-License-Identifier: Apache-2.0
"""Which lift a network has, and what the lifts that learn something take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bev_perception.errors import ConfigurationError

LIFTS = ("bilinear", "ground", "ground_late", "depth", "attention")
"""See docs/lifts.md."""

GATHER_LIFTS = ("bilinear", "ground")
"""Lifts that are one sparse matrix and learn nothing."""

GROUND_LIFTS = ("ground", "ground_late")
"""Lifts that believe everything to lie on the ground."""


@dataclass(frozen=True)
class LiftSettings:
    """What the lifts "depth" and "attention" are made of; the others ignore it.

    Attributes:
        depth_m: nearest and farthest depth along the optical axis that "depth" tells apart.
        depth_bins: equal intervals between them.
        splat_heights_m: lowest and highest z whose points "depth" keeps.
        heads: groups of channels of "attention" that look at places of their own.
        points: places that each head looks at, for every height and camera.
        layers: rounds of looking.
        bands: frequencies of the raster position encoding.

    Raises:
        ConfigurationError: a value makes no lift.
    """

    depth_m: tuple[float, float] = (1.0, 65.0)
    depth_bins: int = 64
    splat_heights_m: tuple[float, float] = (-3.0, 5.0)
    heads: int = 4
    points: int = 2
    layers: int = 1
    bands: int = 7

    def __post_init__(self) -> None:
        for name in ("depth_m", "splat_heights_m"):
            pair = tuple(float(value) for value in getattr(self, name))
            if len(pair) != 2 or not np.isfinite(pair).all() or pair[0] >= pair[1]:
                raise ConfigurationError(f"{name} needs two rising numbers of metres, got {pair}")
            object.__setattr__(self, name, pair)
        if self.depth_m[0] <= 0.0:
            raise ConfigurationError(f"depth_m must begin in front of the camera: {self.depth_m}")
        for name in ("depth_bins", "heads", "points", "layers", "bands"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def depth_step_m(self) -> float:
        """Width of a depth bin."""
        return (self.depth_m[1] - self.depth_m[0]) / self.depth_bins
