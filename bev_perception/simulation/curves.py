# SPDX-License-Identifier: Apache-2.0
"""Plane curves by arc length: centrelines, lanes, kerbs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def unit(vectors: ArrayLike) -> FloatArray:
    """Vectors (..., 2) scaled to length one."""
    values = np.asarray(vectors, dtype=np.float64)
    norms = np.linalg.norm(values, axis=-1, keepdims=True)
    return values / np.where(norms > 1e-12, norms, 1.0)


def left_of(vectors: ArrayLike) -> FloatArray:
    """Vectors (..., 2) turned by +90 degrees."""
    values = np.asarray(vectors, dtype=np.float64)
    return np.stack([-values[..., 1], values[..., 0]], axis=-1)


class Curve:
    """A polyline dense enough to stand for a smooth curve.

    Args:
        points: (N, 2) metres, N >= 2; repeated points are dropped.
        closed: the last point joins the first one (which must not be repeated).

    Attributes:
        points: (N, 2); a closed curve repeats its first point at the end.
        stations: (N,) arc length at each point, from 0.
        tangents: (N, 2) unit vectors.
        length: metres.
    """

    def __init__(self, points: ArrayLike, closed: bool = False) -> None:
        values = np.asarray(points, dtype=np.float64)
        if closed:
            values = np.concatenate([values, values[:1]])
        steps = np.linalg.norm(np.diff(values, axis=0), axis=1)
        values = values[np.concatenate([[True], steps > 1e-6])]
        steps = steps[steps > 1e-6]
        self.points = values
        self.closed = closed
        self.stations = np.concatenate([[0.0], np.cumsum(steps)])
        self.length = float(self.stations[-1])
        chords = unit(np.diff(values, axis=0))
        before = np.concatenate([chords[-1:] if closed else chords[:1], chords])
        after = np.concatenate([chords, chords[:1] if closed else chords[-1:]])
        self.tangents = unit(before + after)

    def at(self, station: ArrayLike, offset: ArrayLike = 0.0) -> FloatArray:
        """Points (..., 2) at arc lengths (...), moved by offset metres to the left."""
        s = self._wrap(station)
        points = np.stack([np.interp(s, self.stations, self.points[:, k]) for k in (0, 1)], -1)
        return points + left_of(self.tangent(s)) * np.asarray(offset, dtype=np.float64)[..., None]

    def tangent(self, station: ArrayLike) -> FloatArray:
        """Unit tangents (..., 2) at arc lengths (...)."""
        s = self._wrap(station)
        return unit(
            np.stack([np.interp(s, self.stations, self.tangents[:, k]) for k in (0, 1)], -1)
        )

    def resampled(self, spacing: float) -> Curve:
        """The same curve with points about ``spacing`` metres apart, evenly."""
        count = max(2, int(np.ceil(self.length / spacing)) + 1)
        stations = np.linspace(0.0, self.length, count)
        points = self.at(stations)
        return Curve(points[:-1] if self.closed else points, closed=self.closed)

    def between(self, start: float, end: float, offset: float = 0.0, spacing: float = 1.0) -> Curve:
        """The part from arc length start to end, moved by offset; reversed if end < start.

        The offset is to the left of the direction of *this* curve.
        """
        count = max(2, int(np.ceil(abs(end - start) / spacing)) + 1)
        return Curve(self.at(np.linspace(start, end, count), offset))

    def curvature(self) -> FloatArray:
        """(N,) signed 1/metres, positive to the left, smoothed over its neighbours."""
        headings = np.unwrap(np.arctan2(self.tangents[:, 1], self.tangents[:, 0]))
        return np.gradient(headings, self.stations)

    def nearest_station(self, point: ArrayLike) -> float:
        """Arc length of the vertex nearest to a point (2,)."""
        gaps = np.linalg.norm(self.points - np.asarray(point), axis=1)
        return float(self.stations[int(np.argmin(gaps))])

    def _wrap(self, station: ArrayLike) -> FloatArray:
        s = np.asarray(station, dtype=np.float64)
        return np.mod(s, self.length) if self.closed else s


def bezier(p0: ArrayLike, p1: ArrayLike, p2: ArrayLike, p3: ArrayLike, num: int) -> FloatArray:
    """(num, 2) points of a cubic Bezier curve, both ends included."""
    t = np.linspace(0.0, 1.0, num)[:, None]
    a, b, c, d = (np.asarray(p, dtype=np.float64) for p in (p0, p1, p2, p3))
    return (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d


def rounded_corner(
    start: ArrayLike,
    start_direction: ArrayLike,
    end: ArrayLike,
    end_direction: ArrayLike,
    max_leg: float,
    spacing: float = 1.0,
) -> FloatArray:
    """A path that leaves start in one direction and arrives at end in another.

    Where the two tangent lines meet ahead, it is straight, a near-circular arc, straight;
    the arc begins at most max_leg before the meeting point. Elsewhere it is one Bezier curve.

    Returns:
        (N, 2) points, both ends included.
    """
    p, q = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    u, v = unit(start_direction), unit(end_direction)
    cross = u[0] * v[1] - u[1] * v[0]
    turn = abs(np.arctan2(cross, float(u @ v)))
    chord = float(np.linalg.norm(q - p))
    if turn > np.radians(25.0):
        gap = q - p
        leg_in = (gap[0] * v[1] - gap[1] * v[0]) / cross
        leg_out = (gap[0] * u[1] - gap[1] * u[0]) / cross * -1.0
        if leg_in > 0.2 and leg_out > 0.2 and turn < np.radians(150.0):
            leg = min(leg_in, leg_out, max_leg)
            meeting = p + leg_in * u
            handle = leg * (4.0 / 3.0) * np.tan(turn / 4.0) / np.tan(turn / 2.0)
            a, b = meeting - leg * u, meeting + leg * v
            num = max(6, int(2.0 * leg / spacing) + 1)
            arc = bezier(a, a + handle * u, b - handle * v, b, num)
            return np.concatenate([_straight(p, a, spacing), arc, _straight(b, q, spacing)])
    num = max(6, int(chord / spacing) + 1)
    return bezier(p, p + u * chord / 3.0, q - v * chord / 3.0, q, num)


def _straight(a: FloatArray, b: FloatArray, spacing: float) -> FloatArray:
    num = max(2, int(np.linalg.norm(b - a) / spacing) + 1)
    return a + (b - a) * np.linspace(0.0, 1.0, num)[:, None]
