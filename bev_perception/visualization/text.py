# SPDX-License-Identifier: Apache-2.0
"""Short texts on pictures. Plain ASCII: OpenCV 4 draws nothing else."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.visualization.palette import INK, PAPER, Color

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_HEIGHT_AT_SCALE_1 = 22.0


def text_size(text: str, height: float = 11.0) -> tuple[int, int]:
    """Width and height in pixels that draw_text covers."""
    (width, _), _ = cv2.getTextSize(text, _FONT, height / _HEIGHT_AT_SCALE_1, 1)
    return int(width), round(height)


def draw_text(
    image: NDArray[np.uint8],
    text: str,
    position: tuple[float, float],
    height: float = 11.0,
    color: Color = INK,
    anchor: str = "left",
    plate: float = 0.0,
) -> None:
    """Writes text into the image.

    Args:
        image: (H, W, 3) uint8 RGB, changed in place.
        text: ASCII.
        position: pixel (u, v) of the text's middle line.
        height: of capital letters, pixels.
        color: RGB.
        anchor: ``left``, ``center`` or ``right``: where position lies horizontally.
        plate: opacity 0..1 of a dark plate behind the text.
    """
    width, _ = text_size(text, height)
    left = round(position[0] - {"left": 0.0, "center": 0.5, "right": 1.0}[anchor] * width)
    base = round(position[1] + height / 2)
    if plate > 0:
        pad = max(2, round(0.45 * height))
        shade(
            image,
            left - pad,
            base - round(height) - pad,
            width + 2 * pad,
            round(height) + 2 * pad,
            plate,
        )
    cv2.putText(
        image, text, (left, base), _FONT, height / _HEIGHT_AT_SCALE_1, color, 1, cv2.LINE_AA
    )


def shade(
    image: NDArray[np.uint8],
    left: int,
    top: int,
    width: int,
    height: int,
    opacity: float,
    color: Color = PAPER,
) -> None:
    """Blends a rectangle of one colour into the image, in place, clipped to it."""
    top, left, bottom, right = max(top, 0), max(left, 0), top + height, left + width
    area = image[top : max(bottom, 0), left : max(right, 0)]
    area[:] = ((1.0 - opacity) * area + opacity * np.array(color)).astype(np.uint8)
