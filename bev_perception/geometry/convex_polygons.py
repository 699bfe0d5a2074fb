# SPDX-License-Identifier: Apache-2.0
"""Areas of polygons, and what two convex ones have in common.

OpenCV's rotatedRectangleIntersection and intersectConvexConvex compute in single precision and say
that some nearly equal rectangles share nothing, which is what good answers are to the truth.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def signed_area(polygon: ArrayLike) -> float:
    """Square metres of a polygon (N, 2), positive if counter-clockwise."""
    p = np.asarray(polygon, dtype=np.float64)
    q = np.roll(p, -1, axis=0)
    return float(0.5 * np.sum(p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]))


def convex_intersection(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """What two convex polygons (N, 2) and (M, 2) share, whichever way round their corners are.

    Sutherland and Hodgman 1974, "Reentrant Polygon Clipping": the first is cut along every edge
    of the second.

    Returns:
        (K, 2) in the first one's order, K = 0 where they are apart; points may repeat, and have
        no area where both only touch.
    """
    shared = np.asarray(first, dtype=np.float64)
    corners = np.asarray(second, dtype=np.float64)
    if signed_area(corners) < 0.0:
        corners = corners[::-1]
    for corner, (x, y) in zip(corners, np.roll(corners, -1, axis=0) - corners):
        shared = _left_of(shared, (shared - corner) @ np.array([-y, x]))
    return shared


def _left_of(polygon: NDArray[np.float64], depths: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part (K, 2) of a convex polygon (N, 2) whose depths (N,) behind an edge are 0 or more."""
    kept = []
    for index in range(len(polygon)):
        before, after = depths[index - 1], depths[index]
        if (before >= 0.0) != (after >= 0.0):
            way = polygon[index] - polygon[index - 1]
            kept.append(polygon[index - 1] + before / (before - after) * way)
        if after >= 0.0:
            kept.append(polygon[index])
    return np.array(kept).reshape(-1, 2)
