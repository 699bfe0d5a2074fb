# SPDX-License-Identifier: Apache-2.0
"""Straight edges of an image."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_SHORTEST_PX = 20.0


def line_segments(grey: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(n, 2, 2) end points (u, v) of the line segments of a (H, W) image.

    The detector is OpenCV's of von Gioi et al., "LSD: A fast line segment detector with a
    false detection control" (2010).
    """
    detector = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD)
    found = detector.detect(grey)[0]
    if found is None:
        return np.zeros((0, 2, 2))
    ends = found.reshape(-1, 2, 2).astype(np.float64)
    return ends[np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1) >= _SHORTEST_PX]
