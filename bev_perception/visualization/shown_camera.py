# SPDX-License-Identifier: Apache-2.0
"""The ideal camera that a viewer shows a real one's images through."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import CalibrationError
from bev_perception.geometry import CameraFrame, PinholeCamera


class ShownCamera:
    """Removes lens distortion, skew and surplus pixels: viewers know none of them.

    What a wide fisheye sees beyond the ideal camera's image is not shown.

    Args:
        source: camera as calibrated.
        max_width: images wider than this are shrunk to it, pixels.

    Attributes:
        source: as given.
        shown: without distortion, with the focal lengths of the source where the size is its.
    """

    def __init__(self, source: PinholeCamera, max_width: int) -> None:
        self.source = source
        ideal = replace(source.undistorted(), matrix=_without_skew(source.matrix))
        if source.width > max_width:
            ideal = ideal.resized(
                max_width, max(1, round(source.height * max_width / source.width))
            )
        self.shown = ideal

    @property
    def is_as_is(self) -> bool:
        """Whether images are shown pixel by pixel as they come."""
        return self.shown == self.source

    def image(self, frame: CameraFrame) -> NDArray[np.uint8]:
        """(shown height, shown width, 3) uint8 RGB; black where the source sees nothing.

        Raises:
            CalibrationError: the image has not the size that the camera is calibrated for.
        """
        height, width = frame.image.shape[:2]
        if (width, height) != (self.source.width, self.source.height):
            raise CalibrationError(
                f"camera {frame.camera!r}: an image of {width}x{height} pixels, calibrated for "
                f"{self.source.width}x{self.source.height}; mend its CameraInfo or rig file"
            )
        if self.is_as_is:
            return frame.image
        if self.source.is_distorted or self.source.matrix[0, 1]:
            map_u, map_v = self._maps
            shown = cv2.remap(frame.image, map_u, map_v, cv2.INTER_LINEAR)
        else:
            size = (self.shown.width, self.shown.height)
            shown = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
        return np.asarray(shown, dtype=np.uint8)

    @cached_property
    def _maps(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return self.source.undistortion_map(self.shown)


def _without_skew(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    straight = matrix.copy()
    straight[0, 1] = 0.0
    return straight
