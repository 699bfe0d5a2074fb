# SPDX-License-Identifier: Apache-2.0
"""Lines in space as curves in an image.

A line seen by a camera is a great circle of viewing directions. Each edge is cut at the
near plane, its arc is divided evenly *by angle*, and the directions go through the full
lens model: exact for any distortion, and as dense right before the camera as far away.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.geometry import RigCamera
from bev_perception.visualization.palette import RIM, Color

NEAR_M = 0.05
"""Depth in metres at which edges are cut."""

ARC_STEP_RAD = np.radians(0.5)
SUBPIXEL_BITS = 4


def project_edges(
    camera: RigCamera, starts_base: ArrayLike, ends_base: ArrayLike
) -> list[NDArray[np.float64]]:
    """The images of straight edges.

    Args:
        camera: the mounted camera.
        starts_base, ends_base: (N, 3) metres in base_link.

    Returns:
        Polylines (n, 2) of pixels, n >= 2. An edge gives none when the camera cannot see
        any of it, most often one, and several where the lens model has no image for a part
        in between. They may reach outside the image.
    """
    camera_T_base = camera.base_T_camera.inverse()
    starts = camera_T_base.apply(np.reshape(starts_base, (-1, 3)))
    ends = camera_T_base.apply(np.reshape(ends_base, (-1, 3)))
    starts, ends = _cut_at_near_plane(starts, ends)
    if not len(starts):
        return []
    directions = _arcs(starts, ends, curved=camera.camera.is_distorted)
    pixels, valid = camera.camera.project(directions)
    if valid.all():
        return list(pixels)
    return [line for points, seen in zip(pixels, valid) for line in _runs(points, seen)]


def project_edge(
    camera: RigCamera, start_base: ArrayLike, end_base: ArrayLike
) -> list[NDArray[np.float64]]:
    """project_edges of one edge with ends (3,)."""
    return project_edges(camera, start_base, end_base)


def draw_polylines(
    image: NDArray[np.uint8],
    polylines: Iterable[NDArray[np.float64]],
    color: Color,
    thickness: int = 1,
    rim: int = 1,
) -> None:
    """Draws anti-aliased polylines with a dark rim, in place.

    Args:
        image: (H, W, 3) uint8 RGB.
        polylines: each (n, 2) pixels, pixel centres at integers; may leave the image.
        color: RGB.
        thickness: pixels.
        rim: pixels by which a dark line below is thicker; 0 for none.
    """
    pieces = [
        piece
        for line in polylines
        if np.isfinite(line).all()  # an impossible calibration projects to nowhere
        for piece in _clip_to_image(line, image.shape)
    ]
    if not pieces:
        return
    fixed = [np.round(piece * (1 << SUBPIXEL_BITS)).astype(np.int32) for piece in pieces]
    passes = [(RIM, thickness + rim)] * (rim > 0) + [(color, thickness)]
    for ink, width in passes:
        cv2.polylines(image, fixed, False, ink, width, cv2.LINE_AA, SUBPIXEL_BITS)


def _cut_at_near_plane(
    starts: NDArray[np.float64], ends: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The parts with depth >= NEAR_M of optical-frame segments (N, 3); (M, 3), M <= N."""
    visible = (starts[:, 2] >= NEAR_M) | (ends[:, 2] >= NEAR_M)
    starts, ends = starts[visible], ends[visible]
    rise = ends[:, 2] - starts[:, 2]
    fraction = (NEAR_M - starts[:, 2]) / np.where(rise == 0.0, 1.0, rise)
    crossings = starts + fraction[:, None] * (ends - starts)
    crossings[:, 2] = NEAR_M
    starts_behind, ends_behind = starts[:, 2:] < NEAR_M, ends[:, 2:] < NEAR_M
    return np.where(starts_behind, crossings, starts), np.where(ends_behind, crossings, ends)


def _arcs(
    starts: NDArray[np.float64], ends: NDArray[np.float64], curved: bool
) -> NDArray[np.float64]:
    """Viewing directions (N, n, 3) from starts to ends (N, 3).

    Evenly spaced by angle, at most ARC_STEP_RAD apart, if curved; else the ends alone.
    """
    first = starts / np.linalg.norm(starts, axis=1, keepdims=True)
    last = ends / np.linalg.norm(ends, axis=1, keepdims=True)
    sines = np.linalg.norm(np.cross(first, last), axis=1)
    angles = np.arctan2(sines, (first * last).sum(axis=1))[:, None, None]
    steps = max(1, int(np.ceil(angles.max() / ARC_STEP_RAD))) if curved else 1
    fractions = np.linspace(0.0, 1.0, steps + 1)[:, None]
    # Slerp; (1 - f, f) for angles that are too small to divide by.
    wide = angles > 1e-6
    scale = np.sin(np.where(wide, angles, 1.0))
    before = np.where(wide, np.sin((1 - fractions) * angles) / scale, 1 - fractions)
    after = np.where(wide, np.sin(fractions * angles) / scale, fractions)
    return before * first[:, None] + after * last[:, None]


def _runs(pixels: NDArray[np.float64], valid: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Consecutive valid pixels as separate polylines."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], valid, [False]])))
    return [pixels[a:b] for a, b in zip(edges[::2], edges[1::2]) if b - a >= 2]


def _clip_to_image(
    line: NDArray[np.float64], shape: tuple[int, ...], margin: float = 32.0
) -> list[NDArray[np.float64]]:
    """Pieces (n, 2) of a polyline inside the image grown by a margin.

    Pixels of edges close to the camera plane reach millions, beyond OpenCV's fixed point.
    """
    low = np.array([-margin, -margin])
    high = np.array([shape[1] + margin, shape[0] + margin])
    if ((line >= low) & (line <= high)).all():
        return [line]
    pieces: list[list[NDArray[np.float64]]] = []
    for start, end in pairwise(line):
        clipped = _clip_segment(start, end, low, high)
        if clipped is None:
            continue
        if pieces and np.array_equal(pieces[-1][-1], clipped[0]):
            pieces[-1].append(clipped[1])
        else:
            pieces.append(list(clipped))
    return [np.stack(piece) for piece in pieces]


def _clip_segment(
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Liang and Barsky: the part of a segment inside an axis-aligned rectangle, or None."""
    direction = end - start
    enter, leave = 0.0, 1.0
    for axis in (0, 1):
        if direction[axis] == 0.0:
            if not low[axis] <= start[axis] <= high[axis]:
                return None
            continue
        bounds = (np.array([low[axis], high[axis]]) - start[axis]) / direction[axis]
        enter, leave = max(enter, bounds.min()), min(leave, bounds.max())
    if enter > leave:
        return None
    first = start if enter == 0.0 else start + enter * direction
    return first, (end if leave == 1.0 else start + leave * direction)
