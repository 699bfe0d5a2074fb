# SPDX-License-Identifier: Apache-2.0
"""Intersection over union by region.

It is pooled: intersections and unions are summed over the whole split before dividing, as
published figures are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from bev_perception.evaluation.regions import DEFAULT_REGIONS, Region
from bev_perception.geometry import BevGrid


class GridIou(Metric):
    """Counts cells per region over a split; their pooled IoU.

    Args:
        grid: where the masks lie.
        regions: what to report.
        threshold: a cell is predicted occupied when its probability exceeds this.

    Attributes:
        confusion: (R, 2, 2) int64, cells by region, truth and prediction, occupied last.
    """

    full_state_update = False
    masks: Tensor
    confusion: Tensor

    def __init__(
        self,
        grid: BevGrid,
        regions: Sequence[Region] = DEFAULT_REGIONS,
        threshold: float = 0.5,
    ) -> None:
        super().__init__()
        self.regions = tuple(regions)
        self.threshold = threshold
        masks = np.stack([region.contains(grid.cell_centers) for region in self.regions])
        self.register_buffer("masks", torch.from_numpy(masks), persistent=False)
        zeros = torch.zeros((len(self.regions), 2, 2), dtype=torch.int64)
        self.add_state("confusion", zeros, dist_reduce_fx="sum")

    def update(self, probability: Tensor, segmentation: Tensor, valid: Tensor) -> None:
        """Counts cells of (..., Y, X) probabilities against truth, where valid is true."""
        shape = probability.shape[-2:]
        counted = valid.reshape(-1, *shape) > 0.5
        predicted = probability.reshape(-1, *shape) > self.threshold
        truth = segmentation.reshape(-1, *shape) > 0.5
        kinds = (~truth & ~predicted, ~truth & predicted, truth & ~predicted, truth & predicted)
        for kind, cells in enumerate(kinds):
            of_cell = (cells & counted).sum(dim=0)
            self.confusion[:, kind // 2, kind % 2] += (of_cell * self.masks).sum(dim=(1, 2))

    def compute(self) -> dict[str, Tensor]:
        """IoU by region's name, 0 to 1; NaN where neither truth nor prediction has a cell."""
        intersection = self.confusion[:, 1, 1].double()
        union = intersection + self.confusion[:, 0, 1] + self.confusion[:, 1, 0]
        return {region.name: value for region, value in zip(self.regions, intersection / union)}

    def matrices(self) -> dict[str, NDArray[np.int64]]:
        """The confusion matrix (truth, prediction) by region's name."""
        counts = self.confusion.cpu().numpy().copy()
        return {region.name: matrix for region, matrix in zip(self.regions, counts)}
