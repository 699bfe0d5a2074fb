# SPDX-License-Identifier: Apache-2.0
"""Oriented rectangles on the ground and whether they overlap, many at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def rectangle_corners(
    centers: ArrayLike, yaws: ArrayLike, lengths: ArrayLike, widths: ArrayLike
) -> FloatArray:
    """(N, 4, 2) counter-clockwise corners of N rectangles with centres (N, 2)."""
    yaw = np.asarray(yaws, dtype=np.float64)
    along = np.stack([np.cos(yaw), np.sin(yaw)], -1) * (np.asarray(lengths) / 2.0)[..., None]
    across = np.stack([-np.sin(yaw), np.cos(yaw)], -1) * (np.asarray(widths) / 2.0)[..., None]
    center = np.asarray(centers, dtype=np.float64)
    return np.stack(
        [center + along + across, center - along + across, center - along - across,
         center + along - across],
        axis=-2,
    )  # fmt: skip


def rectangles_overlap(a: ArrayLike, b: ArrayLike) -> NDArray[np.bool_]:
    """Whether rectangles a (N, 4, 2) and b (N, 4, 2) overlap pairwise (separating axes)."""
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    separated = np.zeros(len(first), dtype=bool)
    for shape in (first, second):
        for k in (0, 1):
            axis = (shape[:, k] - shape[:, k + 1])[:, None]  # (N, 1, 2)
            p, q = (first * axis).sum(-1), (second * axis).sum(-1)
            separated |= (p.max(1) <= q.min(1)) | (q.max(1) <= p.min(1))
    return ~separated


class RectangleSet:
    """Rectangles placed so far; answers whether another one still fits."""

    def __init__(self) -> None:
        self._corners = np.zeros((0, 4, 2))
        self._centers = np.zeros((0, 2))
        self._radii = np.zeros(0)

    def fits(self, x: float, y: float, yaw: float, length: float, width: float) -> bool:
        """Whether the rectangle overlaps none of those placed."""
        radius = float(np.hypot(length, width)) / 2.0
        near = np.hypot(*(self._centers - (x, y)).T) < self._radii + radius
        if not near.any():
            return True
        corners = rectangle_corners([(x, y)], [yaw], [length], [width])
        others = self._corners[near]
        return not rectangles_overlap(np.broadcast_to(corners, others.shape), others).any()

    def add(self, x: float, y: float, yaw: float, length: float, width: float) -> None:
        """Places a rectangle."""
        corners = rectangle_corners([(x, y)], [yaw], [length], [width])
        self._corners = np.concatenate([self._corners, corners])
        self._centers = np.concatenate([self._centers, [(x, y)]])
        self._radii = np.append(self._radii, np.hypot(length, width) / 2.0)

    def add_if_fits(self, x: float, y: float, yaw: float, length: float, width: float) -> bool:
        """Places a rectangle where it overlaps none; tells whether it did."""
        if not self.fits(x, y, yaw, length, width):
            return False
        self.add(x, y, yaw, length, width)
        return True
