# SPDX-License-Identifier: Apache-2.0
"""Where corners of one image lie in the camera's next image."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

_CORNERS = 400
_SPACING_PX = 8
_QUALITY = 0.01
_LOWER_QUALITY = 0.005
_WINDOW = (21, 21)
_LEVELS = 4
_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 0.01)
_FLATTEST = 1e-4
_RETURN_PX = 0.5
_BORDER_PX = 3


class Tracks(NamedTuple):
    """Points of two images that show the same things.

    Attributes:
        first, second: (n, 2) pixels (u, v) in either image.
    """

    first: NDArray[np.float64]
    second: NDArray[np.float64]


def feature_tracks(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Tracks:
    """Follows corners by pyramidal Lucas-Kanade flow, there and back again.

    A corner counts when the way back ends within half a pixel of where it began.

    Args:
        first, second: (H, W) grey images of one camera, one soon after the other.
    """
    corners = _corners(first)
    if not len(corners):
        return Tracks(np.zeros((0, 2)), np.zeros((0, 2)))
    there, found, _ = _flow(first, second, corners)
    back, found_back, _ = _flow(second, first, there)
    high = np.array(first.shape[::-1]) - 1 - _BORDER_PX
    kept = (
        (found.ravel() > 0)
        & (found_back.ravel() > 0)
        & (np.linalg.norm(back - corners, axis=1) < _RETURN_PX)
        & ((there >= _BORDER_PX) & (there <= high)).all(axis=1)
    )
    return Tracks(corners[kept].astype(np.float64), there[kept].astype(np.float64))


def _corners(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, 2); the lower half of the image, darker and smoother, is asked for its own."""
    lower = np.zeros_like(grey)
    lower[grey.shape[0] // 2 :] = 255
    found = (
        cv2.goodFeaturesToTrack(grey, _CORNERS, _QUALITY, _SPACING_PX),
        cv2.goodFeaturesToTrack(grey, _CORNERS, _LOWER_QUALITY, _SPACING_PX, mask=lower),
    )
    points = [each.reshape(-1, 2) for each in found if each is not None]
    if not points:
        return np.zeros((0, 2), np.float32)
    return np.unique(np.concatenate(points), axis=0).astype(np.float32)


def _flow(
    first: NDArray[np.uint8], second: NDArray[np.uint8], points: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
    start = np.empty_like(points)
    return cv2.calcOpticalFlowPyrLK(  # type: ignore[return-value]
        first,
        second,
        points,
        start,
        winSize=_WINDOW,
        maxLevel=_LEVELS,
        criteria=_STOP,
        minEigThreshold=_FLATTEST,
    )
