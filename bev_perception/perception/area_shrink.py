# SPDX-License-Identifier: Apache-2.0
"""Shrinks images by the mean over areas: the values of cv2.INTER_AREA for a third of the work.

Where sizes are in a ratio p : q of small whole numbers, as 448 x 672 to 320 x 480 are in 7 : 5,
every p rows and columns make q in the same way, which is a product with a small matrix of whole
numbers along each axis. Whole numbers below 2^24 are exact in float32, so the mean is exact
until it is rounded. OpenCV adds fractions in float32, with errors below 0.001 of a grey level.
Both round alike where no mean comes that close to a half without being one: when a cell's number
of parts is odd, means keep off halves; when it is a power of two, OpenCV is exact, too.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

LARGEST_RATIO = 16
"""Largest p; beyond it the products cost more than OpenCV's loop."""

_BAND_VALUES = 240_000
"""Source values worked on at a time: few enough for the processor's cache, and so many that two
threads do not have to hand each other the interpreter too often."""


class AreaShrink:
    """Shrinks images of one size to another, one at a time.

    Its work space is used again for every image and band: new memory costs more than the
    products.

    Args:
        source: (height, width) of the images.
        target: (height, width) of the results, such that can_shrink.
    """

    def __init__(self, source: tuple[int, int], target: tuple[int, int]) -> None:
        self._p_y, self._q_y = _ratio(source[0], target[0])
        p_x, q_x = _ratio(source[1], target[1])
        self._along_y = np.ascontiguousarray(_weights(self._p_y, self._q_y, 1).T)
        self._along_x = _weights(p_x, q_x, 3)
        self._mean = 1.0 / (self._p_y * p_x)
        line, num_groups = 3 * source[1], source[0] // self._p_y
        step = min(num_groups, max(1, _BAND_VALUES // (self._p_y * line)))
        self._source = np.empty((step, self._p_y, line), dtype=np.float32)
        self._lines = np.empty((step, self._q_y, line), dtype=np.float32)
        self._sums = np.empty((step * self._q_y, source[1] // p_x, 3 * q_x), dtype=np.float32)

    @staticmethod
    def can_shrink(source: tuple[int, int], target: tuple[int, int]) -> bool:
        """Whether it takes images of these (height, width) and gives OpenCV's values."""
        (p_y, q_y), (p_x, q_x) = (_ratio(size, wanted) for size, wanted in zip(source, target))
        shrinks = p_y > q_y and p_x > q_x and max(p_y, p_x) <= LARGEST_RATIO
        whole_factors = q_y == q_x == 1  # OpenCV has a quicker way of its own
        parts = p_y * p_x
        exact = parts % 2 == 1 or parts & (parts - 1) == 0
        return shrinks and not whole_factors and exact

    def __call__(self, image: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
        """Writes the shrunken image.

        Args:
            image: (H, W, 3), in any memory layout.
            out: (h, w, 3), contiguous.
        """
        step, num_groups = len(self._source), len(image) // self._p_y
        for first in range(0, num_groups, step):
            last = min(first + step, num_groups)
            self._shrink_band(
                image[first * self._p_y : last * self._p_y],
                out[first * self._q_y : last * self._q_y],
            )

    def _shrink_band(self, image: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
        count = len(image) // self._p_y
        source, lines, sums = self._source[:count], self._lines[:count], self._sums[: len(out)]
        np.copyto(source.reshape(image.shape), image)
        np.matmul(self._along_y, source, out=lines)
        np.matmul(lines.reshape(*sums.shape[:2], -1), self._along_x, out=sums)
        flat = out.reshape(len(out), -1)
        cv2.convertScaleAbs(sums.reshape(flat.shape), dst=flat, alpha=self._mean)


def _ratio(source: int, target: int) -> tuple[int, int]:
    """p and q without a common divisor."""
    divisor = math.gcd(source, target)
    return source // divisor, target // divisor


def _weights(p: int, q: int, channels: int) -> NDArray[np.float32]:
    """(p * channels, q * channels): how many parts of each source cell a target cell takes.

    A source cell has q parts and a target cell p; channels lie beside each other.
    """
    sources, targets = np.arange(p)[:, None] * q, np.arange(q) * p
    parts = np.minimum(sources + q, targets + p) - np.maximum(sources, targets)
    return np.kron(np.maximum(parts, 0), np.eye(channels)).astype(np.float32)
