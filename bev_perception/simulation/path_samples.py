# SPDX-License-Identifier: Apache-2.0
"""Many curves sampled evenly, so that positions on any of them are index arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.simulation.curves import Curve, left_of

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class PathSamples:
    """Evenly sampled curves.

    Args:
        curves: open or closed, all of one kind.
        spacing: metres between samples, about.

    Attributes:
        lengths: (P,) metres.
        curves: the resampled curves.
    """

    def __init__(self, curves: Sequence[Curve], spacing: float) -> None:
        self.curves = [curve.resampled(spacing) for curve in curves]
        self._counts = np.array([len(curve.points) for curve in self.curves])
        self._bases = np.concatenate([[0], np.cumsum(self._counts)[:-1]])
        self.lengths = np.array([curve.length for curve in curves])
        self._spacings = self.lengths / (self._counts - 1)
        self._points = np.concatenate([curve.points for curve in self.curves])
        self._normals = left_of(np.concatenate([curve.tangents for curve in self.curves]))

    def locate(self, path: IntArray, station: ArrayLike) -> tuple[IntArray, FloatArray]:
        """Index of the sample before each station (N,), and the fraction to the next one.

        Stations beyond a path's ends are clipped to it.
        """
        u = np.clip(np.asarray(station) / self._spacings[path], 0.0, self._counts[path] - 1.0)
        low = np.minimum(u.astype(np.int64), self._counts[path] - 2)
        return self._bases[path] + low, u - low

    def position(self, path: IntArray, station: ArrayLike) -> FloatArray:
        """(N, 2) metres on paths (N,) at stations (N,)."""
        k, fraction = self.locate(path, station)
        return self._points[k] + fraction[:, None] * (self._points[k + 1] - self._points[k])

    def position_beside(self, path: IntArray, station: ArrayLike, offset: ArrayLike) -> FloatArray:
        """(N, 2) metres, offset (N,) to the left of paths."""
        k, fraction = self.locate(path, station)
        t = fraction[:, None]
        points = self._points[k] + t * (self._points[k + 1] - self._points[k])
        normals = self._normals[k] + t * (self._normals[k + 1] - self._normals[k])
        return points + normals * np.asarray(offset)[:, None]
