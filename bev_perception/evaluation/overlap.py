# SPDX-License-Identifier: Apache-2.0
"""Intersection and union of one answer with the truth, on chosen cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Overlap:
    """Cells; sums of these pool over a split."""

    intersection: int = 0
    union: int = 0

    def __add__(self, other: Overlap) -> Overlap:
        return Overlap(self.intersection + other.intersection, self.union + other.union)

    @property
    def iou(self) -> float:
        """0 to 1; NaN where neither truth nor prediction has a cell."""
        return self.intersection / self.union if self.union else float("nan")


def overlap(
    predicted: NDArray[np.bool_], truth: NDArray[np.bool_], counted: NDArray[np.bool_]
) -> Overlap:
    """Of masks (num_y, num_x), where counted is true."""
    both = int((predicted & truth & counted).sum())
    either = int(((predicted | truth) & counted).sum())
    return Overlap(both, either)
