# SPDX-License-Identifier: Apache-2.0
"""The temperature that makes probabilities true.

Guo et al. 2017, "On Calibration of Modern Neural Networks" (arXiv:1706.04599), section 4.2: all
logits are divided by one number, chosen so that the negative log likelihood of validation
data is least. The order of cells does not change, nor which exceed 0.5.

A loss that weighs occupied cells more than free ones shifts all logits by the logarithm of that
weight, which no temperature undoes. A bias does, together with a temperature (Alexandari et al.
2020, "Maximum Likelihood with Bias-Corrected Calibration", arXiv:1901.06852); then a probability
of 0.5 is a true one, and no longer where the network was trained to decide. Or the bias is chosen
such that 0.5 is where deciding pays best: where the intersection over union is largest. (Of true
probabilities that is below one half: Lipton et al. 2014, "Optimal Thresholding of Classifiers to
Maximize F1 Measure", arXiv:1402.1892, F1 and IoU being largest together.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from torch import Tensor
from torchmetrics import Metric

from bev_perception.errors import BevError
from bev_perception.evaluation.calibration_error import RELIABILITY_BINS

LOGIT_LIMIT = 16.0
"""Logits beyond this count as this: single precision says 1 there."""

BIASES = ("none", "likelihood", "decision")
"""Of a calibration: none; that of least negative log likelihood; that of the largest IoU at 0.5."""

NUM_LOGIT_BINS = 6400
LARGEST = 20.0
"""Temperatures up to this, and down to its inverse, are tried."""


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
        """(2, 2, NUM_LOGIT_BINS) float64 cells and sums, of all processes together."""
        return torch.stack([self.cells.double(), self.sums])


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature: probabilities are the sigmoid of (logit + bias) / temperature.

    Attributes:
        temperature: more than 1 where logits were too sure.
        bias: added to logits before; 0 unless it was fitted, too.
        cells: it was fitted on.
        nll_before, nll_after: mean negative log likelihood of a cell, nats.
    """

    temperature: float
    bias: float
    cells: int
    nll_before: float
    nll_after: float


def fit_temperature(histogram: LogitHistogram, bias: str = "none") -> Temperature:
    """The temperature of least negative log likelihood, given or with a bias.

    Cells of one bin (1/200 of a nat wide) count as their mean logit.

    Args:
        histogram: of logits that nothing was done to; where several processes hold parts of
            it, all of them must call this.
        bias: one of BIASES.

    Raises:
        BevError: there is no free or no occupied cell to learn from.
    """
    cells, sums = histogram.compute().cpu().numpy()
    if not cells.sum(axis=1).all():
        raise BevError(
            f"a temperature needs free and occupied cells, got {cells[0].sum():.0f} and "
            f"{cells[1].sum():.0f}; use drives with labelled vehicles near the cameras"
        )
    used = cells > 0
    logits, weights = sums[used] / cells[used], cells[used] / cells.sum()
    signs = np.broadcast_to(np.array([[-1.0], [1.0]]), cells.shape)[used]
    free = bias == "likelihood"
    given = -best_decision(cells) if bias == "decision" else 0.0

    def loss(values: NDArray[np.float64]) -> float:
        shift = float(values[1]) if free else given
        return mean_nll(signs * (logits + shift), weights, math.exp(values[0]))

    limit = math.log(LARGEST)
    bounds = [(-limit, limit), (-LOGIT_LIMIT, LOGIT_LIMIT)][: 1 + free]
    start = np.zeros(1 + free)
    options = {"xatol": 1e-6, "fatol": 1e-12}
    found = minimize(loss, start, method="Nelder-Mead", bounds=bounds, options=options)
    return Temperature(
        temperature=math.exp(found.x[0]),
        bias=float(found.x[1]) if free else given,
        cells=int(cells.sum()),
        nll_before=mean_nll(signs * logits, weights, 1.0),
        nll_after=float(found.fun),
    )


def best_decision(cells: NDArray[np.float64]) -> float:
    """The logit from which on cells are best called occupied: the IoU is largest.

    Args:
        cells: (2, bins) truly free and truly occupied cells, as LogitHistogram has them.
    """
    false, true = np.cumsum(cells[:, ::-1], axis=1)[:, ::-1]  # called occupied, from each bin on
    iou = true / np.maximum(cells[1].sum() + false, 1.0)
    return float(np.argmax(iou) / (cells.shape[1] / 2.0) - 1.0) * LOGIT_LIMIT


def error_after(histogram: LogitHistogram, fitted: Temperature) -> float:
    """Expected calibration error once a temperature and bias are applied, NaN without cells.

    As calibration_error has it, but that cells of one bin of logits count as their mean.
    """
    cells, sums = histogram.compute().cpu().numpy()
    total = cells.sum(axis=0)
    used = total > 0
    logits = sums.sum(axis=0)[used] / total[used]
    probability = expit((logits + fitted.bias) / fitted.temperature)
    bins = np.minimum((probability * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
    said = np.bincount(bins, probability * total[used], RELIABILITY_BINS)
    true = np.bincount(bins, cells[1][used], RELIABILITY_BINS)
    return float(np.abs(said - true).sum() / total.sum()) if total.any() else float("nan")


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
