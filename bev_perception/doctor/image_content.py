# SPDX-License-Identifier: Apache-2.0
"""Does an image show anything at all?"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

BLANK_RANGE = 6
"""Values between which 96 % of an image's pixels lie when it shows nothing, of 255."""

BLACK_LEVEL, WHITE_LEVEL = 16, 239
CLIPPED_SHARE = 0.6
"""Of pixels at an end of the scale: such an image shows little."""

NOISY_SIGMA = 12.0
"""Standard deviation of noise in grey levels; good cameras by night stay below 6."""

_CLIPPED_LOW, _CLIPPED_HIGH = 4, 251
_BLOCK = 16
_SMOOTHEST = 20.0
_WIDTH = 640
_PLAIN_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


class Content(NamedTuple):
    """What an image's pixels say of the image.

    Attributes:
        low, high: grey levels that 2 and 98 % of the pixels do not exceed.
        dark_share, bright_share: of pixels at the ends of the scale.
        noise: standard deviation of the noise in grey levels.
    """

    low: float
    high: float
    dark_share: float
    bright_share: float
    noise: float

    @property
    def problem(self) -> str:
        """What is wrong with it in a few words; empty when nothing is."""
        if self.noise > NOISY_SIGMA:
            return "noisy"
        if self.high - self.low <= BLANK_RANGE:
            if self.high <= BLACK_LEVEL:
                return "black"
            return "white" if self.low >= WHITE_LEVEL else "of one colour"
        if self.dark_share > CLIPPED_SHARE:
            return "nearly black"
        return "overexposed" if self.bright_share > CLIPPED_SHARE else ""


def content(image: NDArray[np.uint8]) -> Content:
    """Looks at the brightness of an image.

    Noise is measured where the image is smoothest, by a mask that planes and straight edges leave
    at zero (Immerkaer, "Fast noise variance estimation", 1996).

    Args:
        image: (H, W, 3) RGB.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    left = max(0, (grey.shape[1] - _WIDTH) // 2)
    window = grey[:, left : left + _WIDTH].astype(np.float32)  # not shrunk: that hides noise
    rough = abs(cv2.filter2D(window, cv2.CV_32F, _PLAIN_MASK))
    size = max(1, rough.shape[1] // _BLOCK), max(1, rough.shape[0] // _BLOCK)
    blocks = cv2.resize(rough, size, interpolation=cv2.INTER_AREA)
    low, high = np.percentile(grey, (2, 98))
    return Content(
        float(low),
        float(high),
        float((grey <= _CLIPPED_LOW).mean()),
        float((grey >= _CLIPPED_HIGH).mean()),
        float(np.percentile(blocks, _SMOOTHEST) * np.sqrt(np.pi / 2.0) / 6.0),
    )
