# SPDX-License-Identifier: Apache-2.0
"""The temperature that makes probabilities true.

Guo et al. 2017, "On Calibration of Modern Neural Networks" (arXiv:1706.04599), section 4.2: all
logits are divided by one number, chosen so that the negative log likelihood of validation
data is least. The order of cells does not change, nor which exceed 0.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor
from torchmetrics import Metric

from bev_perception.errors import BevError

LOGIT_LIMIT = 16.0
"""Logits beyond this count as this: single precision says 1 there."""

NUM_LOGIT_BINS = 6400
LIMITS = (0.05, 20.0)
"""Temperatures that are tried."""


class LogitHistogram(Metric):
    """Free and occupied cells by their logit, over a split.

    Attributes:
        cells: (2, NUM_LOGIT_BINS) int64, truly free and truly occupied cells.
        sums: (2, NUM_LOGIT_BINS) float64, sums of their logits.
    """

    full_state_update = False
    cells: Tensor
    sums: Tensor

    def __init__(self) -> None:
        super().__init__()
        shape = (2, NUM_LOGIT_BINS)
        self.add_state("cells", torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("sums", torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, segmentation: Tensor, counted: Tensor) -> None:
        """Adds the cells of equal shapes where counted is true."""
        chosen = counted.reshape(-1) > 0.5
        values = logits.reshape(-1)[chosen].double().clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
        truth = segmentation.reshape(-1)[chosen] > 0.5
        bins = ((values / LOGIT_LIMIT + 1.0) * (NUM_LOGIT_BINS / 2)).long()
        bins.clamp_(0, NUM_LOGIT_BINS - 1)
        for kind, own in enumerate((~truth, truth)):
            self.cells[kind] += torch.bincount(bins[own], minlength=NUM_LOGIT_BINS)
            self.sums[kind] += torch.bincount(bins[own], values[own], minlength=NUM_LOGIT_BINS)

    def compute(self) -> Tensor:
        """The number of cells."""
        return self.cells.sum()


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature.

    Attributes:
        temperature: to divide logits by; more than 1 where they were too sure.
        cells: it was fitted on.
        nll_before, nll_after: mean negative log likelihood of a cell, nats.
    """

    temperature: float
    cells: int
    nll_before: float
    nll_after: float


def fit_temperature(histogram: LogitHistogram) -> Temperature:
    """The temperature of least negative log likelihood.

    Cells of one bin (1/200 of a nat wide) count as their mean logit.

    Raises:
        BevError: there is no free or no occupied cell to learn from.
    """
    cells, sums = histogram.cells.cpu().numpy(), histogram.sums.cpu().numpy()
    if not cells.sum(axis=1).all():
        raise BevError(
            f"a temperature needs free and occupied cells, got {cells[0].sum()} and "
            f"{cells[1].sum()}; use drives with labelled vehicles near the cameras"
        )
    used = cells > 0
    signs = np.where(np.arange(2)[:, None] == 1, 1.0, -1.0) * np.ones_like(sums)
    margins = (signs[used] * sums[used]) / cells[used]
    weights = cells[used] / cells.sum()

    def loss(log_temperature: float) -> float:
        return mean_nll(margins, weights, math.exp(log_temperature))

    bounds = tuple(math.log(limit) for limit in LIMITS)
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return Temperature(
        temperature=math.exp(float(found.x)),
        cells=int(cells.sum()),
        nll_before=loss(0.0),
        nll_after=float(found.fun),
    )


def mean_nll(
    margins: NDArray[np.float64], weights: NDArray[np.float64], temperature: float
) -> float:
    """Weighted mean of log(1 + exp(-margin / temperature)), nats.

    Args:
        margins: (n,) logits of the true class: of occupied cells as they are, of free ones negated.
        weights: (n,) with sum 1.
        temperature: positive.
    """
    return float(np.dot(weights, np.logaddexp(0.0, -margins / temperature)))
