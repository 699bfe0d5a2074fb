# SPDX-License-Identifier: Apache-2.0
"""A metric grid on the ground and the horizon, drawn into a camera image.

If extrinsics, intrinsics and image belong together, the lines lie flat on the road and the
horizon lies where the flat world ends: the quickest check of a calibration by eye.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import RigCamera, RigidTransform
from bev_perception.visualization.camera_lines import draw_polylines, project_edge, project_edges
from bev_perception.visualization.palette import GRID_LINE, HORIZON
from bev_perception.visualization.text import draw_text

_HORIZON_DISTANCE_M = 1e6
_HORIZON_STEPS = 72


def draw_ground_grid(
    image: NDArray[np.uint8],
    camera: RigCamera,
    extent_m: float = 30.0,
    spacing_m: float = 5.0,
    base_T_ground: RigidTransform | None = None,
    labels: bool = True,
) -> NDArray[np.uint8]:
    """Draws lines every spacing_m, stronger every second one, labelled along the axes.

    Args:
        image: (H, W, 3) uint8 RGB of this camera; not changed. A picture of another size
            is taken as the whole image resampled.
        camera: the camera that took it.
        extent_m: half side of the square that the grid covers.
        spacing_m: between lines.
        base_T_ground: the plane z = 0 that is drawn and whose horizon it is; default
            base_link's own, the inverse of ``levelled`` for a gravity-levelled one.
        labels: write x and y in metres at the crossings of the strong lines.

    Returns:
        (H, W, 3) uint8 RGB, a new picture.
    """
    canvas = np.array(image, order="C")
    height, width = canvas.shape[:2]
    camera = camera.resized(width, height)
    pose = base_T_ground or RigidTransform.identity()
    ticks = np.arange(-np.floor(extent_m / spacing_m), np.floor(extent_m / spacing_m) + 1)
    weak: list[NDArray[np.float64]] = []
    strong: list[NDArray[np.float64]] = []
    for index in ticks:
        for start, end in _pair_of_lines(index * spacing_m, extent_m):
            target = strong if index % 2 == 0 else weak
            target += project_edge(camera, pose.apply(start), pose.apply(end))
    _blend_lines(canvas, weak, 0.25)
    _blend_lines(canvas, strong, 0.6)
    draw_polylines(canvas, _horizon(camera, pose), HORIZON, thickness=1, rim=0)
    if labels:
        _draw_labels(canvas, camera, pose, extent_m, 2 * spacing_m)
    return canvas


def _pair_of_lines(offset: float, extent: float) -> list[NDArray[np.float64]]:
    """The line along x at y = offset and the one along y at x = offset, each (2, 3)."""
    along_x = np.array([[-extent, offset, 0.0], [extent, offset, 0.0]])
    return [along_x, along_x[:, [1, 0, 2]]]


def _blend_lines(
    canvas: NDArray[np.uint8], lines: list[NDArray[np.float64]], opacity: float
) -> None:
    overlay = canvas.copy()
    draw_polylines(overlay, lines, GRID_LINE, thickness=1, rim=0)
    canvas[:] = ((1.0 - opacity) * canvas + opacity * overlay).round().astype(np.uint8)


def _horizon(camera: RigCamera, pose: RigidTransform) -> list[NDArray[np.float64]]:
    """The plane's circle at infinity, seen from the camera."""
    angles = np.linspace(0.0, 2 * np.pi, _HORIZON_STEPS + 1)
    directions = np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], axis=1)
    circle = camera.base_T_camera.translation + _HORIZON_DISTANCE_M * pose.rotate(directions)
    return project_edges(camera, circle[:-1], circle[1:])


def _draw_labels(
    canvas: NDArray[np.uint8],
    camera: RigCamera,
    pose: RigidTransform,
    extent: float,
    spacing: float,
) -> None:
    """Labels at strong crossings, nearest first, none over another."""
    ticks = np.arange(-np.floor(extent / spacing), np.floor(extent / spacing) + 1) * spacing
    x, y = (values.ravel() for values in np.meshgrid(ticks, ticks))
    points = pose.apply(np.stack([x, y, np.zeros_like(x)], axis=1))
    distances = np.linalg.norm(points - camera.base_T_camera.translation, axis=1)
    pixels, valid = camera.project(points)
    height = max(7.0, canvas.shape[1] / 95)
    taken: list[NDArray[np.float64]] = []
    for index in np.argsort(distances):
        pixel = pixels[index]
        if not valid[index] or not camera.camera.contains(pixel):
            continue
        if any(
            abs(pixel[0] - other[0]) < 14 * height and abs(pixel[1] - other[1]) < 2.5 * height
            for other in taken
        ):
            continue
        taken.append(pixel)
        text = f"{x[index]:+.0f}, {y[index]:+.0f} m"
        draw_text(canvas, text, tuple(pixel), height, anchor="center", plate=0.55)
