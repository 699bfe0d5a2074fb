# SPDX-License-Identifier: Apache-2.0
"""Whether cells of which the network says 70 % are occupied in 70 of 100 cases.

Expected calibration error as in Naeini et al. 2015 and Guo et al. 2017, "On Calibration of
Modern Neural Networks" (arXiv:1706.04599), section 2, of the probability of the class vehicle:
sum over 15 equal bins of the bin's share of all cells times |share of occupied cells in it -
mean probability in it|. Most cells are free and known to be so, which makes the error small;
``open_error`` is the same over the cells that are not obvious, 5 to 95 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.probability_histogram import NUM_BINS, ProbabilityHistogram

RELIABILITY_BINS = 15
OPEN = (0.05, 0.95)
"""Probabilities between which a cell is not obvious."""


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram.

    Attributes:
        cells: (15,) in each bin of probability.
        confidence: (15,) their mean probability, NaN without cells.
        frequency: (15,) share of them that is occupied, NaN without cells.
        expected_error: ECE, NaN without cells.
        maximum_error: the largest difference of a bin.
        open_error: ECE over the cells whose probability lies within OPEN.
        brier: mean squared difference of probability and truth.
    """

    cells: NDArray[np.int64]
    confidence: NDArray[np.float64]
    frequency: NDArray[np.float64]
    expected_error: float
    maximum_error: float
    open_error: float
    brier: float


def reliability(histogram: ProbabilityHistogram) -> Reliability:
    """The reliability diagram of all cells in a histogram."""
    counts = histogram.cells.cpu().numpy()
    sums = histogram.sums.cpu().numpy()
    cells, confidence, frequency = _diagram(counts, sums)
    gaps = np.abs(frequency - confidence)
    total = int(cells.sum())
    first, last = (round(edge * NUM_BINS) for edge in OPEN)
    inner = np.zeros(NUM_BINS, dtype=np.int64)
    inner[first:last] = 1
    return Reliability(
        cells=cells,
        confidence=confidence,
        frequency=frequency,
        expected_error=_expected(cells, gaps),
        maximum_error=float(np.nanmax(gaps)) if total else float("nan"),
        open_error=_open_error(counts * inner, sums * inner),
        brier=float(histogram.squares) / total if total else float("nan"),
    )


def _diagram(
    counts: NDArray[np.int64], sums: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Cells, mean probability and share of occupied cells of the 15 bins."""
    per_bin = counts.reshape(2, RELIABILITY_BINS, -1).sum(axis=2)
    cells = per_bin.sum(axis=0)
    with np.errstate(invalid="ignore"):
        confidence = sums.reshape(RELIABILITY_BINS, -1).sum(axis=1) / cells
        return cells, confidence, per_bin[1] / cells


def _open_error(counts: NDArray[np.int64], sums: NDArray[np.float64]) -> float:
    cells, confidence, frequency = _diagram(counts, sums)
    return _expected(cells, np.abs(frequency - confidence))


def _expected(cells: NDArray[np.int64], gaps: NDArray[np.float64]) -> float:
    total = cells.sum()
    return float(np.nansum(cells * gaps) / total) if total else float("nan")
