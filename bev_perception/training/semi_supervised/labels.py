# SPDX-License-Identifier: Apache-2.0
"""What is taught of every cell, by a person's labels or by a teacher's guess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bev_perception.model import SegnetOutput
from bev_perception.training.batch import CellLabels


@dataclass(frozen=True)
class TaughtCells:
    """Labels of B moments; those that are guessed may lie between 0 and 1.

    Attributes:
        segmentation: (B, K, Y, X) float32, probability of each class.
        valid: (B, 1, Y, X) float32 of 0 and 1, which cells are taught at all.
        center: (B, 1, Y, X) float32.
        offset: (B, 2, Y, X) float32 metres.
    """

    segmentation: Tensor
    valid: Tensor
    center: Tensor
    offset: Tensor

    @property
    def occupied(self) -> Tensor:
        """(B, 1, Y, X) of 0 and 1: more likely in an object than not."""
        return (self.segmentation.amax(dim=1, keepdim=True) > 0.5).float()

    def rows(self, chosen: Tensor | slice) -> TaughtCells:
        """Those of some moments."""
        parts = (self.segmentation, self.valid, self.center, self.offset)
        return TaughtCells(*(part[chosen] for part in parts))

    @staticmethod
    def joined(parts: Sequence[CellLabels]) -> TaughtCells:
        """Those of several, in order."""
        return TaughtCells(
            torch.cat([part.segmentation for part in parts]),
            torch.cat([part.valid for part in parts]),
            torch.cat([part.center for part in parts]),
            torch.cat([part.offset for part in parts]),
        )


def rows_of(output: SegnetOutput, chosen: slice) -> SegnetOutput:
    """The network's answer about some moments."""
    return SegnetOutput._make(None if part is None else part[chosen] for part in output)
