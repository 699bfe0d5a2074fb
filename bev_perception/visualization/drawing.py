# SPDX-License-Identifier: Apache-2.0
"""Object boxes drawn into a camera image."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import ObjectBox, RigCamera
from bev_perception.visualization.camera_lines import (
    NEAR_M,
    SUBPIXEL_BITS,
    draw_polylines,
    project_edges,
)
from bev_perception.visualization.palette import TRUTH, Color

_EDGES = [(i, (i + 1) % 4) for i in range(4)]
_EDGES += [(i + 4, j + 4) for i, j in _EDGES]
_EDGES += [(i, i + 4) for i in range(4)]

_STARTS, _ENDS = np.array([*_EDGES, (8, 9)]).T
"""Of the edges and of the heading mark, into corners and heading mark."""

_FRONT_FACE = (0, 3, 7, 4)
_FRONT_OPACITY = 0.18
_SMALL_PX = 70.0
"""Boxes that look smaller get bare lines, no rim and no tint, to leave the object visible."""


def draw_boxes(
    image: NDArray[np.uint8],
    camera: RigCamera,
    boxes_base: Iterable[ObjectBox],
    color: Color | None = None,
    thickness: int | None = None,
) -> NDArray[np.uint8]:
    """Draws boxes as wire frames whose front is tinted and carries a heading mark.

    Edges are cut at the near plane, so a box that reaches behind the camera shows its
    visible part, and bent as the lens bends them. Farther boxes are drawn first.

    Args:
        image: (H, W, 3) uint8 RGB of this camera; not changed. A picture of another size
            is taken as the whole image resampled.
        camera: the camera that took it.
        boxes_base: boxes in base_link.
        color: RGB; default the colour of ground truth.
        thickness: of the lines in pixels; default by the picture's size.

    Returns:
        (H, W, 3) uint8 RGB, a new picture.
    """
    canvas = np.array(image, order="C")
    height, width = canvas.shape[:2]
    camera = camera.resized(width, height)
    thickness = thickness or max(1, round(width / 900))
    position = camera.base_T_camera.translation
    ordered = sorted(boxes_base, key=lambda box: -float(np.linalg.norm(box.center - position)))
    for box in ordered:
        _draw_box(canvas, camera, box, color or TRUTH, thickness)
    return canvas


def box_polylines(camera: RigCamera, box: ObjectBox) -> list[NDArray[np.float64]]:
    """The twelve edges and the heading mark as pixel polylines, visible parts only."""
    points = np.concatenate([box.corners, box.pose.apply(_heading_mark(box.size))])
    return project_edges(camera, points[_STARTS], points[_ENDS])


def _heading_mark(size: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, 3) metres in the box: from the middle of the bottom to a little before the front."""
    bottom = -size[2] / 2
    return np.array([[0.0, 0.0, bottom], [size[0] / 2 + 0.4, 0.0, bottom]])


def _draw_box(
    canvas: NDArray[np.uint8], camera: RigCamera, box: ObjectBox, color: Color, thickness: int
) -> None:
    lines = box_polylines(camera, box)
    if not lines or not _touches(lines, canvas.shape):
        return
    extent = np.concatenate(lines)
    is_small = float(np.ptp(extent, axis=0).max()) < _SMALL_PX
    if not is_small:
        _tint_front(canvas, camera, box, color)
    draw_polylines(canvas, lines, color, thickness, rim=0 if is_small else 1)


def _touches(lines: list[NDArray[np.float64]], shape: tuple[int, ...]) -> bool:
    pixels = np.concatenate(lines)
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    return bool((high >= 0).all() and low[0] < shape[1] and low[1] < shape[0])


def _tint_front(canvas: NDArray[np.uint8], camera: RigCamera, box: ObjectBox, color: Color) -> None:
    """Fills the front face lightly when all of it projects and it is not absurdly near."""
    corners = box.corners[list(_FRONT_FACE)]
    if (camera.base_T_camera.inverse().apply(corners)[:, 2] < NEAR_M).any():
        return
    outline = project_edges(camera, corners, np.roll(corners, -1, axis=0))
    if len(outline) != len(corners):
        return
    polygon = np.concatenate(outline)
    height, width = canvas.shape[:2]
    if np.abs(polygon).max() > 8 * max(width, height):
        return
    low = np.clip(np.floor(polygon.min(axis=0)).astype(int), 0, (width, height))
    high = np.clip(np.ceil(polygon.max(axis=0)).astype(int) + 1, 0, (width, height))
    if (low >= high).any():
        return
    area = canvas[low[1] : high[1], low[0] : high[0]]
    mask = np.zeros(area.shape[:2], np.uint8)
    fixed = np.round((polygon - low) * (1 << SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(mask, [fixed], 255, cv2.LINE_AA, SUBPIXEL_BITS)
    opacity = (_FRONT_OPACITY / 255.0) * mask[..., None]
    area[:] = (area * (1.0 - opacity) + np.array(color) * opacity).astype(np.uint8)
