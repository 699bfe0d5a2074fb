# SPDX-License-Identifier: Apache-2.0
"""The matrices that prepare images as cv2.resize does, see model/image_resize.py."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from bev_perception.model import ImageResize
from bev_perception.perception.scaler import interpolates


def area_weights(source: int, target: int) -> NDArray[np.float32]:
    """(target, source): means over equal parts of an axis, as cv2.INTER_AREA shrinks."""
    length = source / target
    starts = np.arange(target)[:, None] * length
    cells = np.arange(source)
    shared = np.minimum(cells + 1, starts + length) - np.maximum(cells, starts)
    return (np.maximum(shared, 0.0) / length).astype(np.float32)


def linear_weights(source: int, target: int) -> NDArray[np.float32]:
    """(target, source): interpolation between the two nearest, as cv2.INTER_LINEAR."""
    positions = (np.arange(target)[:, None] + 0.5) * source / target - 0.5
    distance = np.abs(np.clip(positions, 0, source - 1) - np.arange(source))
    return np.maximum(1.0 - distance, 0.0).astype(np.float32)


def resize_matrices(
    sizes: Sequence[tuple[int, int]], tops: Sequence[tuple[int, int]], target: tuple[int, int]
) -> ImageResize:
    """Of a rig.

    Args:
        sizes: (height, width) of each camera's images.
        tops: of each camera the rows after scaling, and the first of them that is kept; negative
            where the first one is repeated before.
        target: (height, width) of the prepared images.
    """
    largest = max(height for height, _ in sizes), max(width for _, width in sizes)
    rows = np.zeros((len(sizes), target[0], largest[0]), dtype=np.float32)
    columns = np.zeros((len(sizes), target[1], largest[1]), dtype=np.float32)
    for index, ((height, width), (scaled, top)) in enumerate(zip(sizes, tops)):
        weights = linear_weights if interpolates(width, target[1]) else area_weights
        columns[index, :, :width] = weights(width, target[1])
        kept = np.clip(np.arange(top, top + target[0]), 0, scaled - 1)
        rows[index, :, :height] = weights(height, scaled)[kept]
    return ImageResize(torch.from_numpy(rows), torch.from_numpy(columns))
