# SPDX-License-Identifier: Apache-2.0
"""The pinhole camera with lens distortion, resize, crop and undistortion.

Pixel convention, the one of OpenCV and ROS: the centre of the top left pixel is
(0, 0), so an image of width w spans [-0.5, w - 0.5]. Points are in the optical
frame of REP-103: x right, y down, z forward. Fields of view stay below 180 degrees.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.errors import CalibrationError
from bev_perception.geometry.lens import Lens, make_lens
from bev_perception.geometry.window import Window
from bev_perception.untrusted import MAX_PIXELS

DISTORTION_COUNTS = {
    "none": (0,),
    "plumb_bob": (0, 4, 5),
    "rational_polynomial": (0, 8),
    "equidistant": (4,),
}
"""Distortion models of sensor_msgs/CameraInfo and how many coefficients each takes, most last."""

MIN_DEPTH = 1e-6
"""Depth in metres below which a point counts as not in front of the camera."""


@dataclass(frozen=True, eq=False)
class PinholeCamera:
    """Intrinsics of one camera; equal when every value is.

    Attributes:
        width, height: image size in pixels.
        matrix: (3, 3) float64 intrinsic matrix K in pixels.
        distortion_model: key of DISTORTION_COUNTS.
        distortion: coefficients in the order of OpenCV and CameraInfo.d; zeros behind those that
            the model takes are dropped.
        window: what of a turned image a real camera has seen; None for all of it.

    Raises:
        CalibrationError: a value makes no camera.
    """

    width: int
    height: int
    matrix: NDArray[np.float64]
    distortion_model: str = "none"
    distortion: tuple[float, ...] = ()
    window: Window | None = None

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
            raise CalibrationError(f"intrinsic matrix must be 3x3 and finite: {matrix.tolist()}")
        if matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
            raise CalibrationError(
                f"focal lengths must be positive, got fx={matrix[0, 0]:g} fy={matrix[1, 1]:g}; "
                f"k[0] = 0 in a CameraInfo means that the camera is not calibrated"
            )
        if not np.allclose(matrix[2], (0, 0, 1)) or matrix[1, 0] != 0:
            raise CalibrationError(f"not an intrinsic matrix: {matrix.tolist()}")
        if self.width <= 0 or self.height <= 0:
            raise CalibrationError(f"image size must be positive, got {self.width}x{self.height}")
        if self.width * self.height > MAX_PIXELS:
            raise CalibrationError(
                f"image size {self.width}x{self.height} is beyond every camera's; at most "
                f"{MAX_PIXELS} pixels are taken"
            )
        if self.distortion_model not in DISTORTION_COUNTS:
            raise CalibrationError(
                f"unknown distortion model {self.distortion_model!r}, "
                f"expected one of {', '.join(DISTORTION_COUNTS)}"
            )
        coefficients = tuple(float(value) for value in self.distortion)
        if not np.isfinite(coefficients).all():
            raise CalibrationError(f"distortion coefficients are not finite: {coefficients}")
        counts = DISTORTION_COUNTS[self.distortion_model]
        if not any(coefficients[counts[-1] :]):
            coefficients = coefficients[: counts[-1]]
        if len(coefficients) not in counts:
            raise CalibrationError(
                f"{self.distortion_model} takes {' or '.join(map(str, counts))} "
                f"distortion coefficients, got {len(coefficients)}"
            )
        matrix.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "distortion", coefficients)

    @classmethod
    def from_intrinsics(
        cls,
        width: int,
        height: int,
        fx: float,
        fy: float,
        cx: float,
        cy: float,
        distortion_model: str = "none",
        distortion: tuple[float, ...] = (),
    ) -> PinholeCamera:
        """From focal lengths and principal point in pixels."""
        matrix = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
        return cls(width, height, matrix, distortion_model, distortion)

    @classmethod
    def from_field_of_view(cls, width: int, height: int, horizontal_deg: float) -> PinholeCamera:
        """Ideal camera whose outer pixel edges span the horizontal field of view in degrees.

        The principal point is the image's middle, ((w - 1) / 2, (h - 1) / 2) where the
        centre of the first pixel is 0. CARLA publishes (w / 2, h / 2), see geometry.frames.
        """
        if not 0.0 < horizontal_deg < 180.0:
            raise CalibrationError(
                f"horizontal field of view must lie between 0 and 180 degrees, got {horizontal_deg}"
            )
        focal = width / (2.0 * np.tan(np.radians(horizontal_deg) / 2.0))
        return cls.from_intrinsics(
            width, height, focal, focal, (width - 1) / 2.0, (height - 1) / 2.0
        )

    @property
    def fx(self) -> float:
        """Horizontal focal length in pixels."""
        return float(self.matrix[0, 0])

    @property
    def fy(self) -> float:
        """Vertical focal length in pixels."""
        return float(self.matrix[1, 1])

    @property
    def cx(self) -> float:
        """Column of the principal point in pixels."""
        return float(self.matrix[0, 2])

    @property
    def cy(self) -> float:
        """Row of the principal point in pixels."""
        return float(self.matrix[1, 2])

    @property
    def horizontal_fov_deg(self) -> float:
        """Angle between the image's left and right edges without distortion, degrees."""
        left, right = self.cx + 0.5, self.width - 0.5 - self.cx
        return float(np.degrees(np.arctan2(left, self.fx) + np.arctan2(right, self.fx)))

    @property
    def is_distorted(self) -> bool:
        """Whether straight lines in the world bend in the image."""
        return self._lens is not None

    def project(self, points_optical: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Pixels of points in the optical frame.

        Args:
            points_optical: (..., 3) metres.

        Returns:
            pixels (..., 2) as (u, v), NaN where not valid, and valid (...): the point
            is in front of the camera and inside the part of the lens model that is
            one-to-one (a polynomial distortion folds back outside its fitted range).
            Pixels may lie outside the image; see contains.
        """
        points = np.asarray(points_optical, dtype=np.float64)
        valid = points[..., 2] > MIN_DEPTH
        depth = points[..., 2] if valid.all() else np.where(valid, points[..., 2], np.nan)
        x, y = points[..., 0] / depth, points[..., 1] / depth
        if self._lens is not None:
            ideal = np.stack([x.ravel(), y.ravel()], axis=-1)
            apparent = self._lens.distort(ideal)
            valid &= self._lens.is_one_to_one(ideal).reshape(valid.shape)
            x, y = apparent[:, 0].reshape(x.shape), apparent[:, 1].reshape(y.shape)
        pixels = np.moveaxis(np.empty((2, *x.shape)), 0, -1)  # u and v each contiguous
        pixels[..., 0] = self.matrix[0, 0] * x + self.matrix[0, 1] * y + self.matrix[0, 2]
        pixels[..., 1] = self.matrix[1, 1] * y + self.matrix[1, 2]
        valid &= np.isfinite(pixels[..., 0]) & np.isfinite(pixels[..., 1])
        if not valid.all():
            pixels[~valid] = np.nan
        return pixels, valid

    def contains(self, pixels: ArrayLike) -> NDArray[np.bool_]:
        """Whether pixels (..., 2) lie inside the image, half a pixel of border included, and in
        its window."""
        values = np.asarray(pixels, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            inside: NDArray[np.bool_] = (
                (values[..., 0] >= -0.5)
                & (values[..., 0] <= self.width - 0.5)
                & (values[..., 1] >= -0.5)
                & (values[..., 1] <= self.height - 0.5)
            )
        if self.window is not None:
            inside &= self.window.shows(self.unproject(values))
        return inside

    def unproject(self, pixels: ArrayLike) -> NDArray[np.float64]:
        """Rays (..., 3) in the optical frame with z = 1 through pixels (..., 2).

        NaN in x and y where the lens model lets no direction of the half-space in front
        of the camera land, which project calls not valid.
        """
        values = np.asarray(pixels, dtype=np.float64)
        y = (values[..., 1] - self.matrix[1, 2]) / self.matrix[1, 1]
        x = (values[..., 0] - self.matrix[0, 2] - self.matrix[0, 1] * y) / self.matrix[0, 0]
        rays = np.stack([x, y, np.ones_like(x)], axis=-1)
        if self._lens is not None:
            ideal = self._lens.undistort(rays[..., :2].reshape(-1, 2))
            rays[..., :2] = ideal.reshape(values.shape)
        return rays

    def resized(self, width: int, height: int) -> PinholeCamera:
        """Camera of the image resampled to width x height, its outer edges kept.

        A pixel centre u moves to (u + 0.5) * scale - 0.5.
        """
        scale = np.array([width / self.width, height / self.height])
        matrix = self.matrix.copy()
        matrix[0, :2] *= scale[0]
        matrix[1, 1] *= scale[1]
        matrix[:2, 2] = (self.matrix[:2, 2] + 0.5) * scale - 0.5
        return replace(self, width=width, height=height, matrix=matrix)

    def cropped(self, left: int, top: int, width: int, height: int) -> PinholeCamera:
        """Camera of the window [left, left + width) x [top, top + height); it may overhang."""
        matrix = self.matrix.copy()
        matrix[0, 2] -= left
        matrix[1, 2] -= top
        return replace(self, width=width, height=height, matrix=matrix)

    def undistorted(self) -> PinholeCamera:
        """The ideal camera with the same size and intrinsic matrix."""
        return replace(self, distortion_model="none", distortion=())

    def undistortion_map(
        self, target: PinholeCamera | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Where each pixel of the undistorted target image comes from.

        Args:
            target: ideal camera with the same optical frame; default undistorted().

        Returns:
            map_u, map_v, each (height, width) float32 of the target, for cv2.remap; -1e4
            where the source does not see that direction.
        """
        target = target or self.undistorted()
        columns, rows = np.meshgrid(np.arange(target.width), np.arange(target.height))
        rays = target.unproject(np.stack([columns, rows], axis=-1))
        pixels, valid = self.project(rays)
        pixels[~valid] = -1e4
        return pixels[..., 0].astype(np.float32), pixels[..., 1].astype(np.float32)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PinholeCamera):
            return NotImplemented
        return self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @cached_property
    def _lens(self) -> Lens | None:
        return make_lens(self.distortion_model, self.distortion)

    @property
    def _key(self) -> tuple[object, ...]:
        intrinsics = tuple(self.matrix.ravel().tolist())
        lens = self.distortion_model, self.distortion
        return self.width, self.height, intrinsics, *lens, self.window
