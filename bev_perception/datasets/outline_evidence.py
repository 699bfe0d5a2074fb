# SPDX-License-Identifier: Apache-2.0
"""Do images show edges where labelled boxes have their outlines?

Wrong mountings, a lag between labels and images, or labels of another drive put boxes beside
their objects, and then images change across outlines no more than anywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import Rig, RigCamera
from bev_perception.geometry.box_arrays import BoxArrays
from bev_perception.geometry.outlines import outline_scores

MOMENTS = 8
"""Sets of a drive that are looked at: images have to be decoded for it."""

_WIDTH = 320
_REACH_M = 40.0
_MIN_SIZE_PX = 6.0
_MIN_OUTLINES = 30
_MIN_SHARE = 0.6

_CORNERS = 0.5 * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)


class OutlineEvidence:
    """Counts over some moments of a drive."""

    def __init__(self) -> None:
        self.outlines = 0
        self.shown = 0

    def add(self, images: Mapping[str, NDArray[np.uint8]], rig: Rig, boxes: BoxArrays) -> None:
        """Looks at the near boxes of one moment that are not said to be hidden.

        Args:
            images: (H, W, 3) RGB by camera.
            rig: that took them.
            boxes: in the rig's base frame.
        """
        with np.errstate(invalid="ignore"):
            chosen = ~(boxes.visibilities < 0.5) & (boxes.distances < _REACH_M)
        corners = boxes.selected(chosen).points(_CORNERS)
        for name, image in images.items():
            height, width = image.shape[:2]
            size = min(width, _WIDTH), max(1, round(height * min(width, _WIDTH) / width))
            gradient = _gradient(image, size)
            for hull in _hulls(rig[name].resized(*size), corners):
                scores = outline_scores(gradient, hull)
                if scores is not None:
                    self.outlines += 1
                    self.shown += scores[0] > scores[1]

    @property
    def share(self) -> float | None:
        """Of the outlines, those that images show; None where there are too few."""
        return self.shown / self.outlines if self.outlines >= _MIN_OUTLINES else None

    def note(self) -> str:
        """What to say when images do not show the boxes; empty when they do."""
        if self.share is None or self.share >= _MIN_SHARE:
            return ""
        return (
            f"images change more across {100 * self.share:.0f} % of {self.outlines} outlines of "
            f"boxes than beside them, by chance it would be 50 %: are mountings, stamps and "
            f"labels of this drive?"
        )


def _gradient(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
    """(h, w, 2) changes of brightness along x and y of the image made small."""
    small = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.stack([cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)], -1)


def _hulls(entry: RigCamera, corners: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Outlines (n, 2) in pixels of boxes wholly before the camera, if large enough."""
    if not len(corners):
        return []
    pixels, valid = entry.project(corners)
    found = []
    for own in pixels[valid.all(axis=1)]:
        middle = own.mean(axis=0)
        if bool(entry.camera.contains(middle)) and np.ptp(own, axis=0).min() >= _MIN_SIZE_PX:
            hull = cv2.convexHull(own.astype(np.float32))[:, 0]
            found.append(hull.astype(np.float64))
    return found
