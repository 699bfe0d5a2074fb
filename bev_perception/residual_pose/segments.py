# SPDX-License-Identifier: Apache-2.0
"""Straight edges of an image as planes through the camera.

A straight edge in the world and the camera's centre span a plane. Of a vertical edge (poles, walls,
door frames, trunks) that plane contains the direction of gravity, whatever its distance, so a
single image shows which way is up. Edges come from the line segment detector of von Gioi et al.
(LSD, 2010) in OpenCV; only their end points go through the lens model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import RigCamera

BELOW_HORIZON = math.radians(8.0)
"""Rows lower than this below the horizon show ground: markings there are not vertical."""
SHORTEST_PX = 12.0
"""Shorter edges have no direction worth knowing."""
STEEPEST = math.sin(math.radians(9.0))
"""Edges further than this from vertical, by the calibration as told, are left out."""
WIDEST_PX = 1000
"""Wider images are shrunk by a whole number before edges are looked for."""


@dataclass(frozen=True)
class Segments:
    """Nearly vertical edges of one image.

    Attributes:
        normals: (N, 3) float64 unit normals, in base_link as told, of the planes through the
            camera and the edge.
        weights: (N,) float64, length in radians: how well a normal is known.
    """

    normals: NDArray[np.float64]
    weights: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.weights)


class SegmentFinder:
    """Finds nearly vertical edges of one camera's images. To be used by one thread at a time.

    Args:
        entry: the camera, extrinsics to base_link.
    """

    def __init__(self, entry: RigCamera) -> None:
        camera = entry.camera
        self._shrink = math.ceil(camera.width / WIDEST_PX)
        self._camera = camera
        self._rotation = entry.base_T_camera.rotation
        self._last_row = _last_row(entry)
        self._detector = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD)

    def find(self, image: NDArray[np.uint8]) -> Segments:
        """Edges of an image (H, W, 3) uint8 RGB of the camera's size."""
        if self._last_row < 16:
            return Segments(np.zeros((0, 3)), np.zeros(0))
        gray = cv2.cvtColor(image[: self._last_row], cv2.COLOR_RGB2GRAY)
        if self._shrink > 1:
            height, width = (size // self._shrink for size in gray.shape)
            gray = gray[: height * self._shrink, : width * self._shrink]
            gray = cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA)
        found = self._detector.detect(np.ascontiguousarray(gray))[0]
        if found is None:
            return Segments(np.zeros((0, 3)), np.zeros(0))
        ends = np.asarray(found, dtype=np.float64).reshape(-1, 2, 2)  # (N, end, uv)
        ends = ends[np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1) > SHORTEST_PX]
        return self._segments((ends + 0.5) * self._shrink - 0.5)

    def _segments(self, ends: NDArray[np.float64]) -> Segments:
        rays = self._camera.unproject(ends) @ self._rotation.T
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        normals = np.cross(rays[:, 0], rays[:, 1])
        angles = np.linalg.norm(normals, axis=1)
        normals /= np.maximum(angles, 1e-9)[:, None]
        above = rays[..., 2].mean(axis=1) > -math.sin(BELOW_HORIZON)
        chosen = above & (np.abs(normals[:, 2]) < STEEPEST)
        return Segments(normals[chosen], angles[chosen])


def _last_row(entry: RigCamera) -> int:
    """Rows from the top that show anything higher than BELOW_HORIZON below the horizon."""
    camera = entry.camera
    columns = np.linspace(0, camera.width - 1, 9)
    rows = np.arange(0, camera.height, 4)
    pixels = np.stack(np.meshgrid(columns, rows), axis=-1)
    rays = camera.unproject(pixels) @ entry.base_T_camera.rotation.T
    elevation = rays[..., 2] / np.linalg.norm(rays, axis=-1)
    with np.errstate(invalid="ignore"):
        higher = (elevation > -math.sin(BELOW_HORIZON)).any(axis=1)
    return int(rows[higher].max()) + 4 if higher.any() else 0
