# SPDX-License-Identifier: Apache-2.0
"""Panoptic quality of the class vehicle.

Kirillov et al. 2019, "Panoptic Segmentation" (arXiv:1801.00868), section 4: a predicted and a
true segment match when their IoU exceeds 0.5, which at most one can. PQ is the sum of the
matches' IoU over TP + FP / 2 + FN / 2: segmentation quality (mean IoU of matches) times
recognition quality. Void cells are left out of IoU, and a segment said to be there that is
void in more than half of its cells is not counted. Void are here footprints of vehicles that
cameras hardly see, and all that lies outside the region.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MATCH_IOU = 0.5


@dataclass(frozen=True)
class PanopticCounts:
    """Sums that pool over a split.

    Attributes:
        iou_sum: of matched segments.
        true_positives, false_positives, false_negatives: segments.
    """

    iou_sum: float = 0.0
    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0

    def __add__(self, other: PanopticCounts) -> PanopticCounts:
        return PanopticCounts(
            self.iou_sum + other.iou_sum,
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
        )

    @property
    def quality(self) -> float:
        """PQ, 0 to 1; NaN where there is no segment at all."""
        wrong = self.false_positives + self.false_negatives
        whole = self.true_positives + wrong / 2.0
        return self.iou_sum / whole if whole else float("nan")

    @property
    def segmentation_quality(self) -> float:
        """SQ: mean IoU of the matches; NaN without any."""
        return self.iou_sum / self.true_positives if self.true_positives else float("nan")

    @property
    def recognition_quality(self) -> float:
        """RQ: F1 of the segments; NaN where there is no segment at all."""
        wrong = self.false_positives + self.false_negatives
        whole = self.true_positives + wrong / 2.0
        return self.true_positives / whole if whole else float("nan")


def panoptic_counts(
    predicted: NDArray[np.int32], truth: NDArray[np.int32], counted: NDArray[np.bool_]
) -> PanopticCounts:
    """Matches the segments of one moment.

    Args:
        predicted, truth: (num_y, num_x) segment of each cell, -1 for none.
        counted: (num_y, num_x) bool, False where void.
    """
    sizes = np.bincount(predicted[predicted >= 0])
    said, true = _numbered(predicted, counted), _numbered(truth, counted)
    said_cells, true_cells = np.bincount(said + 1)[1:], np.bincount(true + 1)[1:]
    both = (said >= 0) & (true >= 0)
    pairs, shared = np.unique(
        said[both].astype(np.int64) * len(true_cells) + true[both], return_counts=True
    )
    rows, columns = np.divmod(pairs, max(len(true_cells), 1))
    iou = shared / (said_cells[rows] + true_cells[columns] - shared)
    matched = iou > MATCH_IOU
    mostly_counted = 2 * said_cells >= sizes[: len(said_cells)]
    mostly_counted[rows[matched]] = False
    unmatched = int((mostly_counted & (said_cells > 0)).sum())
    hits = int(matched.sum())
    return PanopticCounts(
        float(iou[matched].sum()), hits, unmatched, int((true_cells > 0).sum()) - hits
    )


def _numbered(segments: NDArray[np.int32], counted: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The counted cells' segments."""
    return np.where(counted, segments, -1).ravel()[counted.ravel()]
