# SPDX-License-Identifier: Apache-2.0
"""Images to the network's size, in memory that is used again.

Images that shrink little are interpolated between the two nearest pixels along each axis, which
OpenCV does several times as quickly as means over areas. At a ratio r of widths every pixel then
counts at least 2 - r where it would be 1 / r if all counted alike, so from some ratio on pixels are
as good as passed over, and means are taken.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.perception.area_shrink import AreaShrink
from bev_perception.perception.rectification import Rectification
from bev_perception.perception.row_layout import RowLayout

LINEAR_REACH = 1.5
"""Largest ratio of widths that is interpolated: every pixel has three quarters of its due there."""

Task = tuple[NDArray[np.uint8], RowLayout | Rectification, NDArray[np.uint8]]
"""An image, what becomes of it, and where that goes, (height, width, 3)."""


class Scaler:
    """Scales images, with buffers that one thread at a time may use."""

    def __init__(self) -> None:
        self._shrinks: dict[tuple[tuple[int, ...], tuple[int, ...]], AreaShrink] = {}

    def prepare_images(self, tasks: Iterable[Task]) -> None:
        """Of each task the image, turned or by the layout, into its place."""
        for image, how, out in tasks:
            if isinstance(how, Rectification):
                how(image, out)
            else:
                self._prepare_image(image, how, out)

    def _prepare_image(
        self, image: NDArray[np.uint8], layout: RowLayout, out: NDArray[np.uint8]
    ) -> None:
        height, width = out.shape[:2]
        scaled_size = (layout.scaled_height, width)
        rows = layout.visible_rows(height)
        if image.shape[:2] == scaled_size:
            out[rows] = image[max(0, layout.top) :][: rows.stop - rows.start]
        elif layout.scaled_height <= height:
            self._scale(image, out[rows])
        else:
            scaled = np.empty((*scaled_size, 3), dtype=np.uint8)
            self._scale(image, scaled)
            out[:] = scaled[layout.top : layout.top + height]
        out[: rows.start] = out[rows.start]
        out[rows.stop :] = out[rows.stop - 1]

    def _scale(self, image: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
        source, target = image.shape[:2], out.shape[:2]
        if interpolates(source[1], target[1]):
            cv2.resize(image, target[::-1], dst=out, interpolation=cv2.INTER_LINEAR)
        elif AreaShrink.can_shrink(source, target):
            if (source, target) not in self._shrinks:
                self._shrinks[source, target] = AreaShrink(source, target)
            self._shrinks[source, target](image, out)
        else:
            cv2.resize(image, target[::-1], dst=out, interpolation=cv2.INTER_AREA)


def interpolates(source_width: int, target_width: int) -> bool:
    """Whether images of one width, in pixels, are interpolated to another; else means are taken."""
    return source_width <= LINEAR_REACH * target_width
