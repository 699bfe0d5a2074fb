# SPDX-License-Identifier: Apache-2.0
"""Preparing images as two products of matrices, so that it can be part of a network's graph.

A prepared image is ``rows @ image @ columns^T``, rounded to whole grey levels: interpolation,
means over areas, crops and repeated rows are all of that form. The matrices are inputs like the
table of the lift, so another calibration needs no other graph.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class ImageResize:
    """What makes the prepared images of a rig from those that its cameras send.

    Attributes:
        rows: (S, H, H0) float32, of each prepared row the share of every image row.
        columns: (S, W, W0) float32, of each prepared column the share of every image column.
        rig_id: rig_hash of the prepared rig, "" where it is not known.
    """

    rows: Tensor
    columns: Tensor
    rig_id: str = ""

    @property
    def source_size(self) -> tuple[int, int]:
        """(H0, W0) of the images as they are sent."""
        return self.rows.shape[2], self.columns.shape[2]

    @property
    def target_size(self) -> tuple[int, int]:
        """(H, W) of the prepared images."""
        return self.rows.shape[1], self.columns.shape[1]

    def split(self, size: int) -> list[ImageResize]:
        """The same for so many cameras at a time."""
        pairs = zip(self.rows.split(size), self.columns.split(size))
        return [ImageResize(rows, columns) for rows, columns in pairs]


def resized(images: Tensor, resize: ImageResize) -> Tensor:
    """Images (S, H0, W0, 3) uint8 to prepared planes (S, 3, H, W), whole numbers in float32.

    Values below 2^24 are exact in float32; products in TF32 or bf16 would not be.
    """
    planes = images.permute(0, 3, 1, 2).float()
    across = resize.rows[:, None] @ planes
    return (across @ resize.columns[:, None].transpose(2, 3)).round().clamp(0.0, 255.0)
