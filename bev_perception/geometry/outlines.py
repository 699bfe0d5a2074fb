# SPDX-License-Identifier: Apache-2.0
"""Does an image change across an outline more than beside it? If so, the outline is where it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_POINTS = 60
_MIN_INSIDE = 0.6
_MIN_PLACES = 4
_SHIFTS = np.array([[0, 0], [0.35, 0], [-0.35, 0], [0, 0.35], [0, -0.35], [0.2, 0.2],
                    [-0.2, 0.2], [0.2, -0.2], [-0.2, -0.2]])  # fmt: skip
"""Places beside an outline in units of its width and height, itself first."""


def outline_scores(
    gradient: NDArray[np.floating], hull: NDArray[np.float64]
) -> tuple[float, float] | None:
    """Mean change across the outline, and across the same outline shifted to its sides.

    Args:
        gradient: (h, w, 2) changes of brightness along x and y.
        hull: (n, 2) closed polygon in pixels.

    Returns:
        None where too little of it lies in the image.
    """
    points, normals = _along(hull)
    size = np.ptp(hull, axis=0)
    means: list[float] = []
    for shift in _SHIFTS * size:
        values, inside = _look_up(gradient, points + shift)
        if inside.mean() < _MIN_INSIDE:
            if not means:
                return None
            continue
        means.append(float(np.abs((values * normals).sum(axis=1))[inside].mean()))
    if len(means) < _MIN_PLACES:
        return None
    return means[0], float(np.mean(means[1:]))


def _along(hull: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points (n, 2) evenly along a closed polygon, and its normals there."""
    edges = np.roll(hull, -1, axis=0) - hull
    lengths = np.maximum(np.linalg.norm(edges, axis=1), 1e-9)
    ends = np.cumsum(lengths)
    along = np.linspace(0, ends[-1], _POINTS, endpoint=False)
    number = np.searchsorted(ends, along, side="right").clip(max=len(hull) - 1)
    fraction = (along - (ends - lengths)[number]) / lengths[number]
    normals = np.stack([-edges[:, 1], edges[:, 0]], axis=1) / lengths[:, None]
    return hull[number] + fraction[:, None] * edges[number], normals[number]


def _look_up(
    picture: NDArray[np.floating], pixels: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Bilinear values (N, C) of a picture (h, w, C) at pixels (N, 2), and which are inside it."""
    height, width = picture.shape[:2]
    limits = np.array([width - 2, height - 2])
    inside = np.asarray(((pixels >= 1) & (pixels <= limits)).all(axis=1))
    safe = np.where(inside[:, None], pixels, 1.0)
    corner = np.floor(safe).astype(np.int64)
    u, v = (safe - corner).T[..., None]
    x, y = corner.T
    upper = picture[y, x] * (1 - u) + picture[y, x + 1] * u
    lower = picture[y + 1, x] * (1 - u) + picture[y + 1, x + 1] * u
    return upper * (1 - v) + lower * v, inside
