# SPDX-License-Identifier: Apache-2.0
"""What other thresholds of occupancy would give, cell by cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.probability_histogram import NUM_BINS, ProbabilityHistogram


@dataclass(frozen=True)
class PrecisionRecall:
    """Curves over rising thresholds; a cell is said to be occupied from the threshold on.

    Attributes:
        thresholds: (n,) in 0..1.
        precision: (n,) NaN where no cell is said to be occupied.
        recall: (n,) NaN where no cell is occupied.
        iou: (n,) pooled.
    """

    thresholds: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    iou: NDArray[np.float64]

    @property
    def area(self) -> float:
        """Average precision: sum of precision times the step of recall (no interpolation).

        NaN where no cell is occupied.
        """
        if np.isnan(self.recall).all():
            return float("nan")
        steps = -np.diff(np.append(self.recall, 0.0))
        return float(np.nansum(np.nan_to_num(self.precision) * steps))


def precision_recall(histogram: ProbabilityHistogram, every: int = 1) -> PrecisionRecall:
    """The curves at every so many-th edge of the histogram's bins."""
    free, occupied = histogram.cells.cpu().numpy().astype(np.float64)
    right = np.cumsum(occupied[::-1])[::-1][::every]
    wrong = np.cumsum(free[::-1])[::-1][::every]
    with np.errstate(invalid="ignore", divide="ignore"):
        return PrecisionRecall(
            thresholds=np.arange(0, NUM_BINS, every) / NUM_BINS,
            precision=right / (right + wrong),
            recall=right / occupied.sum(),
            iou=right / (occupied.sum() + wrong),
        )
