# SPDX-License-Identifier: Apache-2.0
"""What the network sees, should say and says, as one picture of some samples of a batch.

Per sample a row of camera images and, below it, seen from above with forward up and left to the
left: segmentation, centre and offsets, each the truth beside the prediction. Offsets are shown
by colour: the hue is their direction, the brightness their length. Cells that no loss counts
are grey.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.geometry import BevGrid
from bev_perception.model import SegnetOutput
from bev_perception.training.batch import Batch
from bev_perception.visualization import BevView
from bev_perception.visualization.palette import PAPER, UNKNOWN_LIGHT, probability_colors
from bev_perception.visualization.text import draw_text

NUM_SAMPLES = 4
MAP_WIDTH = 200
GAP = 6
FULL_BRIGHTNESS_M = 3.0
"""Offsets of this length and longer are shown brightest."""

Picture = NDArray[np.uint8]


def batch_picture(batch: Batch, output: SegnetOutput, grid: BevGrid) -> Picture:
    """The first samples of a batch below each other, (H, W, 3) uint8 RGB."""
    count = min(len(batch), NUM_SAMPLES)
    return np.concatenate([_sample_picture(batch, output, grid, i) for i in range(count)])


def offset_colors(offset: NDArray[np.float32]) -> Picture:
    """(2, rows, columns) metres to (rows, columns, 3): red forward, then by the angle."""
    angle = np.degrees(np.arctan2(offset[1], offset[0])) % 360.0
    length = np.linalg.norm(offset, axis=0) / FULL_BRIGHTNESS_M
    hsv = np.stack([angle / 2.0, np.full_like(angle, 220.0), 55.0 + 200.0 * length.clip(0, 1)], -1)
    return np.asarray(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB), dtype=np.uint8)


def _sample_picture(batch: Batch, output: SegnetOutput, grid: BevGrid, index: int) -> Picture:
    counted = _array(batch.valid[index, 0]) > 0.5
    occupied = _array(batch.occupied[index, 0]) > 0.5
    probability = _array(output.segmentation[index].sigmoid().amax(dim=0))
    believed = probability > 0.5
    maps = {
        "truth": _greyed(probability_colors(_array(batch.occupied[index, 0])), counted),
        "probability": probability_colors(probability),
        "centre, truth": probability_colors(_array(batch.center[index, 0])),
        "centre": probability_colors(_array(output.center[index, 0])),
        "offset, truth": _inside(offset_colors(_array(batch.offset[index])), occupied),
        "offset": _inside(offset_colors(_array(output.offset[index])), believed),
    }
    view = BevView(grid, MAP_WIDTH)
    titled = [_titled(np.asarray(view.upright(cells)), title) for title, cells in maps.items()]
    below = _row(titled)
    images = batch.images[index].permute(0, 2, 3, 1).cpu().numpy()
    above = _cameras(images, below.shape[1])
    return np.concatenate([above, _paper(GAP, below.shape[1]), below, _paper(GAP, below.shape[1])])


def _cameras(images: NDArray[np.uint8], width: int) -> Picture:
    """All cameras (S, H, W, 3) side by side in a strip of the given width."""
    count, rows, columns = images.shape[:3]
    each = min((width - GAP * (count - 1)) // count, 2 * columns)
    size = (each, round(rows * each / columns))
    strip = _row([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images])
    rest = width - strip.shape[1]
    return np.concatenate([strip, _paper(strip.shape[0], rest)], axis=1)


def _row(pictures: Sequence[Picture]) -> Picture:
    """Pictures of one height beside each other."""
    gap = _paper(pictures[0].shape[0], GAP)
    parts = [part for picture in pictures for part in (picture, gap)][:-1]
    return np.concatenate(parts, axis=1)


def _titled(picture: Picture, title: str) -> Picture:
    draw_text(picture, title, (8.0, 12.0), 9.0, plate=0.6)
    return picture


def _greyed(picture: Picture, counted: NDArray[np.bool_]) -> Picture:
    return np.where(counted[..., None], picture, np.array(UNKNOWN_LIGHT)).astype(np.uint8)


def _inside(picture: Picture, mask: NDArray[np.bool_]) -> Picture:
    return np.where(mask[..., None], picture, np.array(PAPER)).astype(np.uint8)


def _paper(rows: int, columns: int) -> Picture:
    return np.full((rows, columns, 3), PAPER, dtype=np.uint8)


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return np.asarray(tensor.detach().float().cpu().numpy())
