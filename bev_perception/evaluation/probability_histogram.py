# SPDX-License-Identifier: Apache-2.0
"""How often cells of each probability were occupied: all that curves and calibration need."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

NUM_BINS = 1500
"""A multiple of 15, so that the usual 15 bins of calibration are unions of these."""


class ProbabilityHistogram(Metric):
    """Free and occupied cells by what was said of them, over a split.

    Attributes:
        cells: (2, NUM_BINS) int64, truly free and truly occupied cells by probability.
        sums: (NUM_BINS,) float64, sum of the probabilities in each bin.
        squares: float64, sum of (probability - truth)^2.
    """

    full_state_update = False
    cells: Tensor
    sums: Tensor
    squares: Tensor

    def __init__(self) -> None:
        super().__init__()
        zeros = torch.zeros((2, NUM_BINS), dtype=torch.int64)
        self.add_state("cells", zeros, dist_reduce_fx="sum")
        self.add_state("sums", torch.zeros(NUM_BINS, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("squares", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, probability: Tensor, segmentation: Tensor, counted: Tensor) -> None:
        """Adds the cells of equal shapes where counted is true."""
        chosen = counted.reshape(-1) > 0.5
        values = probability.reshape(-1)[chosen].double()
        truth = segmentation.reshape(-1)[chosen] > 0.5
        bins = (values * NUM_BINS).long().clamp_(0, NUM_BINS - 1)
        self.cells[0] += torch.bincount(bins[~truth], minlength=NUM_BINS)
        self.cells[1] += torch.bincount(bins[truth], minlength=NUM_BINS)
        self.sums += torch.bincount(bins, values, minlength=NUM_BINS)
        self.squares += ((values - truth.double()) ** 2).sum()

    def compute(self) -> Tensor:
        """The share of occupied cells by bin, NaN where a bin is empty."""
        return self.cells[1].double() / self.cells.sum(dim=0)
