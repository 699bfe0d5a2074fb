# SPDX-License-Identifier: Apache-2.0
"""The calibration of weights: fitted on drives, stored in the weights' metadata."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from bev_perception.datasets.drives import open_drive
from bev_perception.datasets.targets import TargetSettings, make_targets
from bev_perception.errors import BagError
from bev_perception.evaluation.answers import Respondent
from bev_perception.evaluation.points_count import PointsCount
from bev_perception.evaluation.temperature import (
    LOGIT_LIMIT,
    LogitHistogram,
    Temperature,
    fit_temperature,
)
from bev_perception.geometry.rig_file import RigFile

_METHODS = {
    "none": "temperature",
    "likelihood": "temperature and bias",
    "decision": "temperature, and bias of the largest IoU",
}


def collect_logits(
    bags: Sequence[Path],
    respondent: Respondent,
    targets: TargetSettings | None = None,
    rig_file: RigFile | None = None,
    stride: int = 1,
    show_progress: bool = True,
    points: PointsCount | None = None,
) -> LogitHistogram:
    """Logits of the cells that are valid and that cameras see, over the sets of bags.

    Args:
        points: counts sets without points.

    Raises:
        BagError: a bag cannot be read, or gave no cell.
    """
    histogram = LogitHistogram()
    targets = targets or TargetSettings(classes=respondent.classes)
    for bag in tqdm(bags, desc="calibrate", unit="bag", disable=not show_progress):
        gave = False
        with open_drive(bag, rig_file) as drive:
            sets = drive.sets(stride, points_of=respondent.points_of)
            if points is not None:
                sets = points.watched(sets)
            for labelled, output in respondent.answers(drive, sets):
                boxes = [box.transformed(output.level_T_base) for box in labelled.objects]
                truth = make_targets(boxes, output.grid, targets)
                probability = torch.from_numpy(output.probability).double()
                logits = probability.logit().clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
                counted = truth.valid & ~output.unknown
                gave |= bool(counted.any())
                histogram.update(
                    logits, torch.from_numpy(truth.segmentation), torch.from_numpy(counted)
                )
        if not gave:
            raise BagError(
                f"{bag} has no camera set with labels within its time whose cameras see any cell; "
                f"calibration needs objects as MarkerArray, Detection3DArray or ObjectArray beside "
                f"the images: leave the bag out"
            )
    return histogram


def calibration_values(
    histogram: LogitHistogram, fitted_on: Sequence[str], bias: str = "none"
) -> dict[str, Any]:
    """What a weights file's metadata hold under CALIBRATION_KEY.

    Args:
        histogram: of the logits of the model without any calibration.
        fitted_on: names of the drives.
        bias: one of temperature.BIASES.

    Raises:
        BevError: see fit_temperature.
    """
    fitted: Temperature = fit_temperature(histogram, bias)
    return {
        "method": _METHODS[bias],
        "temperature": round(fitted.temperature, 5),
        "bias": round(fitted.bias, 5),
        "cells": fitted.cells,
        "nll_before": round(fitted.nll_before, 6),
        "nll_after": round(fitted.nll_after, 6),
        "fitted_on": list(fitted_on),
    }
