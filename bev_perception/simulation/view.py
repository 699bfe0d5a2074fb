# SPDX-License-Identifier: Apache-2.0
"""How one camera of a rig is drawn: an ideal view, remapped where the lens distorts."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import CalibrationError
from bev_perception.geometry import PinholeCamera, RigCamera, RigidTransform

NEAR_M, FAR_M = 0.15, 800.0
MAX_VIEW_PIXELS = 4096
LENS_OVERSAMPLING = 2.0
"""Ideal pixels per pixel of a distorted camera at its centre."""

MAX_ANGLE_TANGENT = 5.0
"""Rays further than atan(5) = 79 degrees from the optical axis do not fit on a plane."""


@dataclass(frozen=True)
class CameraView:
    """One camera of the rig and the ideal camera that OpenGL draws for it.

    Attributes:
        name: of the camera in the rig.
        mounted: the rig's camera, perhaps distorted.
        ideal: distortion-free camera with the same optical frame.
        maps: for a distorted camera, for every pixel (height, width) float32 where it lies in
            the ideal image, as cv2.remap takes it; -1e4 where the lens sees nothing.
    """

    name: str
    mounted: RigCamera
    ideal: PinholeCamera
    maps: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the ideal image in pixels."""
        return self.ideal.width, self.ideal.height

    def distort_image(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The ideal image (h, w, 3) as the camera's lens shows it."""
        if self.maps is None:
            return image
        return np.asarray(cv2.remap(image, *self.maps, cv2.INTER_LINEAR), dtype=np.uint8)

    def distort_values(self, values: NDArray, fill: float) -> NDArray:
        """Ids or depths (h, w) of the ideal image as the lens shows them, never mixed."""
        if self.maps is None:
            return values
        return cv2.remap(
            values, *self.maps, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=fill
        )


def camera_view(name: str, mounted: RigCamera) -> CameraView:
    """The view of one camera.

    Raises:
        CalibrationError: the lens looks further aside than an ideal view can.
    """
    camera = mounted.camera
    if not camera.is_distorted:
        return CameraView(name, mounted, camera.undistorted())
    columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    pixels = np.stack([columns, rows], axis=-1).astype(np.float64)
    rays = camera.unproject(pixels)
    again, valid = camera.project(rays)
    valid &= np.abs(again - pixels).max(axis=-1, initial=0.0, where=valid[..., None]) < 0.5
    if not valid.any():
        raise CalibrationError(f"camera {name}: the distortion model maps no pixel to a direction")
    low, high = rays[valid].min(axis=0)[:2], rays[valid].max(axis=0)[:2]
    reach = float(np.abs([low, high]).max())
    focal = np.array([camera.fx, camera.fy])
    scale = min(LENS_OVERSAMPLING, MAX_VIEW_PIXELS / float(((high - low) * focal).max() + 5))
    focal *= max(scale, 1.0)
    width, height = (int(value) for value in np.ceil((high - low) * focal) + 4)
    if reach > MAX_ANGLE_TANGENT or max(width, height) > MAX_VIEW_PIXELS:
        raise CalibrationError(
            f"camera {name}: its lens sees up to {np.degrees(np.arctan(reach)):.0f} degrees off "
            f"axis, which needs a plane of {width}x{height} pixels; the simulator draws up to "
            f"{np.degrees(np.arctan(MAX_ANGLE_TANGENT)):.0f} degrees and {MAX_VIEW_PIXELS} pixels"
        )
    center = 1.5 - low * focal
    ideal = PinholeCamera.from_intrinsics(width, height, *focal, *center)
    placed = rays[..., :2] * focal + center
    placed[~valid] = -1e4
    maps = (placed[..., 0].astype(np.float32), placed[..., 1].astype(np.float32))
    return CameraView(name, mounted, ideal, maps)


def clip_T_optical(camera: PinholeCamera) -> NDArray[np.float64]:
    """(4, 4) OpenGL projection of an ideal camera, its first row at texture row 0.

    OpenGL's pixel (i, j) has its centre at (i + 0.5, j + 0.5); the camera's at (i, j).
    """
    matrix = np.zeros((4, 4))
    matrix[0, :3] = 2.0 / camera.width * (camera.matrix[0] + [0.0, 0.0, 0.5])
    matrix[1, :3] = 2.0 / camera.height * (camera.matrix[1] + [0.0, 0.0, 0.5])
    matrix[:2, 2] -= 1.0
    matrix[2, 2] = (FAR_M + NEAR_M) / (FAR_M - NEAR_M)
    matrix[2, 3] = -2.0 * FAR_M * NEAR_M / (FAR_M - NEAR_M)
    matrix[3, 2] = 1.0
    return matrix


def clip_T_offset(camera: PinholeCamera, map_T_camera: RigidTransform) -> NDArray[np.float64]:
    """(4, 4) projection of map points from which the camera's position was subtracted."""
    rotation = np.eye(4)
    rotation[:3, :3] = map_T_camera.rotation.T
    return clip_T_optical(camera) @ rotation


def inside_frustum(
    clip_T_points: NDArray[np.float64],
    centers: NDArray[np.float64],
    half_sizes: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Which axis-aligned boxes (n) may touch the frustum of a clip matrix (4, 4).

    Args:
        clip_T_points: projection of the points' frame.
        centers, half_sizes: (n, 3).
    """
    w = clip_T_points[3]
    planes = np.concatenate([w + clip_T_points[:3], w - clip_T_points[:3]])  # (6, 4)
    reach = centers @ planes[:, :3].T + planes[:, 3] + half_sizes @ np.abs(planes[:, :3]).T
    return np.asarray((reach >= 0.0).all(axis=1))
