# SPDX-License-Identifier: Apache-2.0
"""Scores of a segmentation from its confusion matrix.

As in Garcia-Garcia et al. 2017, "A Review on Deep Learning Techniques Applied to Semantic
Segmentation" (arXiv:1704.06857), section 4.1, where p_ij is the number of cells of class i that
were said to be class j. A class of which there is no cell at all, true or predicted, is left
out of means; a mean over nothing is NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pixel_accuracy(confusion: ArrayLike) -> float:
    """PA: sum_i p_ii / sum_ij p_ij of a (classes, classes) confusion[truth, predicted]."""
    counts = _checked(confusion)
    return _ratio(np.trace(counts), counts.sum())


def mean_pixel_accuracy(confusion: ArrayLike) -> float:
    """MPA: mean over the classes that exist of p_ii / sum_j p_ij."""
    counts = _checked(confusion)
    return _mean(np.diag(counts), counts.sum(axis=1))


def mean_iou(confusion: ArrayLike) -> float:
    """mIoU: mean over classes of p_ii / (sum_j p_ij + sum_j p_ji - p_ii)."""
    counts = _checked(confusion)
    return _mean(np.diag(counts), _unions(counts))


def frequency_weighted_iou(confusion: ArrayLike) -> float:
    """FWIoU: IoU of the classes, each weighted with its share of the true cells."""
    counts = _checked(confusion)
    frequency, unions = counts.sum(axis=1), _unions(counts)
    exists = unions > 0
    weighted = frequency[exists] * np.diag(counts)[exists] / unions[exists]
    return _ratio(weighted.sum(), counts.sum())


def _unions(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return counts.sum(axis=1) + counts.sum(axis=0) - np.diag(counts)


def _checked(confusion: ArrayLike) -> NDArray[np.float64]:
    counts = np.asarray(confusion, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(f"a confusion matrix is square, got shape {counts.shape}")
    return counts


def _mean(parts: NDArray[np.float64], wholes: NDArray[np.float64]) -> float:
    exists = wholes > 0
    return float(np.mean(parts[exists] / wholes[exists])) if exists.any() else float("nan")


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
