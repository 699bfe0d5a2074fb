# SPDX-License-Identifier: Apache-2.0
"""Simple polygons: point tests and triangulation."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.geometry.convex_polygons import signed_area

FloatArray = NDArray[np.float64]


def points_in_polygon(points: ArrayLike, polygon: ArrayLike) -> NDArray[np.bool_]:
    """Whether points (M, 2) lie inside a polygon (N, 2), by crossing number."""
    xy = np.asarray(points, dtype=np.float64)[:, None]
    a = np.asarray(polygon, dtype=np.float64)
    b = np.roll(a, -1, axis=0)
    straddles = (a[:, 1] > xy[..., 1]) != (b[:, 1] > xy[..., 1])
    rise = np.where(b[:, 1] == a[:, 1], 1.0, b[:, 1] - a[:, 1])
    crossing = a[:, 0] + (xy[..., 1] - a[:, 1]) * (b[:, 0] - a[:, 0]) / rise
    return (np.sum(straddles & (xy[..., 0] < crossing), axis=1) % 2).astype(bool)


def triangulate(polygon: ArrayLike) -> NDArray[np.int64]:
    """Triangles (F, 3) of a simple polygon (N, 2) by cutting ears, largest angle first.

    Vertices keep their indices; the winding of the result is that of the polygon.
    """
    points = np.asarray(polygon, dtype=np.float64)
    order = np.arange(len(points))
    if signed_area(points) < 0:
        order = order[::-1]
    faces: list[NDArray[np.int64]] = []
    while len(order) > 3:
        ear = _find_ear(points[order])
        n = len(order)
        faces.append(np.array([order[ear - 1], order[ear], order[(ear + 1) % n]]))
        order = np.delete(order, ear)
    faces.append(order)
    return np.array(faces, dtype=np.int64)


def _find_ear(ring: FloatArray) -> int:
    """Position of the convex vertex with the shortest diagonal that no other vertex enters."""
    before, after = np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0)
    turn = _cross(ring - before, after - ring)
    diagonal = np.linalg.norm(after - before, axis=1)
    candidates = np.flatnonzero(turn > 1e-12)
    if len(candidates) == 0:
        return int(np.argmin(np.abs(turn)))
    for ear in candidates[np.argsort(diagonal[candidates], kind="stable")]:
        a, b, c = before[ear], ring[ear], after[ear]
        inside = (
            (_cross(b - a, ring - a) > -1e-9)
            & (_cross(c - b, ring - b) > -1e-9)
            & (_cross(a - c, ring - c) > -1e-9)
        )
        inside[[ear - 1, ear, (ear + 1) % len(ring)]] = False
        if not inside.any():
            return int(ear)
    return int(candidates[0])


def _cross(u: FloatArray, v: FloatArray) -> FloatArray:
    return u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
