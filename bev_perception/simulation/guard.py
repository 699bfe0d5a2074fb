# SPDX-License-Identifier: Apache-2.0
"""The last safety net: a step that would make two bodies overlap is not taken."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bev_perception.simulation.footprints import rectangle_corners, rectangles_overlap
from bev_perception.simulation.path_samples import FloatArray

MARGIN = 0.08
"""Metres kept between bodies."""


def bodies_to_stop(
    old_center: FloatArray,
    old_yaw: FloatArray,
    new_center: FloatArray,
    new_yaw: FloatArray,
    half_length: FloatArray,
    half_width: FloatArray,
    points: FloatArray,
    point_radius: float,
) -> NDArray[np.bool_]:
    """Which of N rectangles must stay where they were so that none overlap.

    The old state is free of overlaps, so the answer always exists. Of two bodies the one
    that drives at the other stops.

    Args:
        old_center, new_center: (N, 2); old_yaw, new_yaw: (N,).
        half_length, half_width: (N,).
        points: (M, 2) middles of pedestrians, who fill circles of point_radius.
    """
    reach = distances_to_bodies(new_center, new_yaw, half_length, half_width, points)
    stopped = reach.min(axis=1, initial=np.inf) < point_radius
    radius = np.hypot(half_length, half_width) + MARGIN
    gap = np.hypot(*(new_center[:, None] - new_center[None]).transpose(2, 0, 1))
    near = gap < radius[:, None] + radius[None] + 1.5
    first, second = np.nonzero(np.triu(near, 1))
    if len(first) == 0:
        return stopped
    while True:
        center = np.where(stopped[:, None], old_center, new_center)
        yaw = np.where(stopped, old_yaw, new_yaw)
        corners = rectangle_corners(
            center, yaw, 2.0 * half_length + MARGIN, 2.0 * half_width + MARGIN
        )
        hit = rectangles_overlap(corners[first], corners[second])
        hit &= ~(stopped[first] & stopped[second])
        if not hit.any():
            return stopped
        a, b = first[hit], second[hit]
        way = center[b] - center[a]
        heading = np.stack([np.cos(yaw), np.sin(yaw)], axis=-1)
        a_ahead = (heading[a] * way).sum(-1)
        b_ahead = -(heading[b] * way).sum(-1)
        stop_a = ~stopped[a] & ((a_ahead >= b_ahead) | stopped[b])
        stopped[a[stop_a]] = True
        stopped[b[~stop_a]] = True


def distances_to_bodies(
    center: FloatArray,
    yaw: FloatArray,
    half_length: FloatArray,
    half_width: FloatArray,
    points: FloatArray,
) -> FloatArray:
    """(N, M) metres from rectangles to points, 0 inside."""
    offset = points[None] - center[:, None]
    c, s = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
    along = np.abs(c * offset[..., 0] + s * offset[..., 1]) - half_length[:, None]
    across = np.abs(c * offset[..., 1] - s * offset[..., 0]) - half_width[:, None]
    return np.hypot(np.maximum(along, 0.0), np.maximum(across, 0.0))
