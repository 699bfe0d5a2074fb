# SPDX-License-Identifier: Apache-2.0
"""What speaks for or against a reading of the numbers, and moments to look for it in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.samples.declaration import Declaration
from bev_perception.samples.interpretation import rgb_images
from bev_perception.samples.raw_sample import RawSample

THUMBNAIL_WIDTH = 224
"""Pixels; fine enough for lane markings and cars, and quick to look up a million times."""

SEEN_WEIGHT = 2.0
"""Of checks that only the right reading passes well, in its score."""

_BLUR_SIGMA_PX = 4.0


@dataclass(frozen=True)
class Check:
    """One thing that must hold if a reading is right.

    Attributes:
        name: two or three words.
        value: 0 (contradicted) to 1 (fully so).
        needed: a reading whose value is lower is refused; 0 where the value only ranks.
        words: what was measured, for people.
        weight: in the score of a reading.
    """

    name: str
    value: float
    needed: float
    words: str
    weight: float = 1.0

    @property
    def fails(self) -> bool:
        """Whether it refuses the reading on its own."""
        return self.value < self.needed


class Moment:
    """One sample and what of its images the checks look at.

    Attributes:
        sample: as stored.
        thumbnails: (S, h, w, 3) float32, small images.
        scale: thumbnail pixels per image pixel, x and y.
    """

    def __init__(self, sample: RawSample, declaration: Declaration) -> None:
        images = rgb_images(sample, declaration)
        height, width = images.shape[1:3]
        size = (
            min(width, THUMBNAIL_WIDTH),
            max(1, round(height * min(width, THUMBNAIL_WIDTH) / width)),
        )
        self.sample = sample
        self.thumbnails = np.stack(
            [
                cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)
                for image in images
            ]
        ).astype(np.float32)
        self.scale = np.array([size[0] / width, size[1] / height])

    @cached_property
    def details(self) -> NDArray[np.float32]:
        """(S, h, w, 3) thumbnails without their slow changes of brightness."""
        return np.stack([each - cv2.GaussianBlur(each, (0, 0), _BLUR_SIGMA_PX)
                         for each in self.thumbnails])  # fmt: skip

    @cached_property
    def gradients(self) -> NDArray[np.float32]:
        """(S, h, w, 2) brightness changes along x and y."""
        grey = self.thumbnails.mean(axis=-1)
        return np.stack(
            [
                np.stack([cv2.Sobel(each, cv2.CV_32F, 1, 0), cv2.Sobel(each, cv2.CV_32F, 0, 1)], -1)
                for each in grey
            ]
        )


def look_up(
    picture: NDArray[np.float32], pixels: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Bilinear values of a picture (h, w, C) at pixels (N, 2), and which are inside it."""
    height, width = picture.shape[:2]
    with np.errstate(invalid="ignore"):
        inside = (
            (pixels[:, 0] >= 1)
            & (pixels[:, 0] <= width - 2)
            & (pixels[:, 1] >= 1)
            & (pixels[:, 1] <= height - 2)
        )
    maps = np.where(inside[:, None], pixels, 0.0).astype(np.float32)
    values = np.zeros((len(pixels), picture.shape[2]), np.float32)
    step = 30_000  # of cv2.remap's rows
    for start in range(0, len(maps), step):
        part = maps[start : start + step, None]
        values[start : start + step] = cv2.remap(
            picture, part[..., 0], part[..., 1], cv2.INTER_LINEAR
        )[:, 0]
    return values, inside


def correlation(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Of two (N, C) arrays over all their values; 0 where one does not change."""
    a, b = one - one.mean(axis=0), other - other.mean(axis=0)
    norm = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum() / norm) if norm > 0 else 0.0
