# SPDX-License-Identifier: Apache-2.0
"""What CARLA's cameras send, as arrays."""

from __future__ import annotations

import carla
import cv2
import numpy as np
from numpy.typing import NDArray

DEPTH_RANGE_M = 1000.0
"""Depth of the largest code; everything further, the sky included, has it too."""

_LARGEST_CODE = 256**3 - 1


def rgb_from_carla(image: carla.Image) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 RGB of a BGRA image; owns its memory."""
    return np.asarray(cv2.cvtColor(_bgra(image), cv2.COLOR_BGRA2RGB))


def depth_from_carla(image: carla.Image) -> NDArray[np.float32]:
    """(height, width) float32 metres along the optical axis of a depth camera's raw image.

    Red is the lowest of three bytes: (R + 256 G + 65536 B) / (256^3 - 1) * 1000 m
    (CARLA's documentation, sensors reference, depth camera).
    """
    blue, green, red, _ = np.moveaxis(_bgra(image), -1, 0).astype(np.uint32)
    code = red + (green << 8) + (blue << 16)
    return (code * (DEPTH_RANGE_M / _LARGEST_CODE)).astype(np.float32)


def _bgra(image: carla.Image) -> NDArray[np.uint8]:
    """A view of the image's own buffer, valid as long as the image."""
    values = np.frombuffer(image.raw_data, dtype=np.uint8)
    return values.reshape(image.height, image.width, 4)
