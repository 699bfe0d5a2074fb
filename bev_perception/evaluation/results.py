# SPDX-License-Identifier: Apache-2.0
"""What an evaluation found, as plain values for metrics.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.box_error import BoxErrors
from bev_perception.evaluation.calibration_error import reliability
from bev_perception.evaluation.center_matching import CenterCounts
from bev_perception.evaluation.class_iou import ClassIou
from bev_perception.evaluation.grid_iou import GridIou
from bev_perception.evaluation.panoptic import PanopticCounts
from bev_perception.evaluation.precision_recall import precision_recall
from bev_perception.evaluation.probability_histogram import ProbabilityHistogram
from bev_perception.evaluation.segmentation_scores import (
    frequency_weighted_iou,
    mean_iou,
    mean_pixel_accuracy,
    pixel_accuracy,
)

SEGMENTATION_SCORES = {
    "pa": pixel_accuracy,
    "mpa": mean_pixel_accuracy,
    "miou": mean_iou,
    "fwiou": frequency_weighted_iou,
}
CURVE_STEP = 15
"""Of the histogram's bins: a threshold every 1 %."""


def result_values(
    seen_well: GridIou,
    all_vehicles: GridIou,
    probability: ProbabilityHistogram,
    known_probability: ProbabilityHistogram,
    centers: Mapping[str, CenterCounts],
    average_precision: Mapping[str, Mapping[str, float]],
    boxes: Mapping[str, BoxErrors],
    panoptic: Mapping[str, PanopticCounts],
) -> dict[str, Any]:
    """Plain values for JSON; what cannot be known, such as IoU where nothing was, is None.

    Args:
        seen_well: cells but for the footprints of vehicles that cameras hardly see: ``iou`` and
            ``segmentation`` (pa, mpa, miou, fwiou), by region.
        all_vehicles: every vehicle counts, seen or not: ``iou_all_vehicles``.
        probability: cells within +-25 m that are valid: ``precision_recall``.
        known_probability: valid cells that cameras see: ``calibration``.
        centers: ``center_precision``, ``center_recall``, ``center_counts``, by region.
        average_precision: ``center_ap``, by region and distance.
        boxes: ``boxes``, by region.
        panoptic: ``panoptic``, by region.
    """
    return {
        "iou": _iou(seen_well),
        "iou_all_vehicles": _iou(all_vehicles),
        "segmentation": {
            region: {name: known(score(matrix)) for name, score in SEGMENTATION_SCORES.items()}
            for region, matrix in seen_well.matrices().items()
        },
        "center_precision": {name: known(count.precision) for name, count in centers.items()},
        "center_recall": {name: known(count.recall) for name, count in centers.items()},
        "center_counts": {
            name: {
                "found": count.true_positives,
                "invented": count.false_positives,
                "missed": count.false_negatives,
            }
            for name, count in centers.items()
        },
        "center_ap": {
            region: {distance: known(value) for distance, value in values.items()}
            for region, values in average_precision.items()
        },
        "boxes": {
            name: {
                "matches": errors.matches,
                **{measure: known(value) for measure, value in errors.means().items()},
            }
            for name, errors in boxes.items()
        },
        "panoptic": {
            name: {
                "pq": known(count.quality),
                "sq": known(count.segmentation_quality),
                "rq": known(count.recognition_quality),
            }
            for name, count in panoptic.items()
        },
        "calibration": _calibration(known_probability),
        "precision_recall": _curve(probability),
    }


def class_values(counted: ClassIou) -> dict[str, Any]:
    """``iou_by_class``, by class and region; nothing where no class was told from another."""
    found = {
        name: {region: known(float(value)) for region, value in values.items()}
        for name, values in counted.compute().items()
    }
    return {"iou_by_class": found} if found else {}


def known(value: float) -> float | None:
    """The value to four digits, None for NaN."""
    return None if np.isnan(value) else round(float(value), 4)


def _iou(counted: GridIou) -> dict[str, float | None]:
    return {name: known(float(value)) for name, value in counted.compute().items()}


def _calibration(histogram: ProbabilityHistogram) -> dict[str, Any]:
    diagram = reliability(histogram)
    return {
        "ece": finely_known(diagram.expected_error),
        "ece_open_cells": finely_known(diagram.open_error),
        "maximum": finely_known(diagram.maximum_error),
        "brier": finely_known(diagram.brier),
        "cells": diagram.cells.tolist(),
        "confidence": _all_known(diagram.confidence),
        "frequency": _all_known(diagram.frequency),
    }


def _curve(histogram: ProbabilityHistogram) -> dict[str, Any]:
    every, curve = precision_recall(histogram), precision_recall(histogram, CURVE_STEP)
    best = int(np.argmax(np.nan_to_num(every.iou)))
    return {
        "area": known(every.area),
        "best_threshold": known(float(every.thresholds[best])) if every.iou[best] > 0 else None,
        "best_iou": known(float(every.iou[best])),
        "thresholds": _all_known(curve.thresholds),
        "precision": _all_known(curve.precision),
        "recall": _all_known(curve.recall),
        "iou": _all_known(curve.iou),
    }


def _all_known(values: NDArray[np.float64]) -> list[float | None]:
    return [known(float(value)) for value in values]


def finely_known(value: float) -> float | None:
    """Calibration errors are small: six digits."""
    return None if np.isnan(value) else round(float(value), 6)
