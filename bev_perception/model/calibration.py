# SPDX-License-Identifier: Apache-2.0
"""Calibrated probabilities: a temperature beside the weights, folded into the last layer.

Weights files hold what training left; how sure the network may be of it stands in their metadata.
Training goes on from the former; whoever runs the network folds in the latter, so that every
backend and every export answers calibrated probabilities at no cost. A temperature divides
logits: it moves no cell across the probability 0.5, but it does across any other threshold.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from bev_perception.errors import WeightsError
from bev_perception.model.segnet import Segnet
from bev_perception.model.weights import load_weights

CALIBRATION_KEY = "calibration"
"""In the metadata of weights: a mapping with at least ``temperature``."""


def load_calibrated(path: str | os.PathLike[str]) -> tuple[Segnet, dict[str, Any]]:
    """A model whose probabilities are calibrated where its file says how, and the metadata.

    Raises:
        WeightsError: see load_weights; or the calibration is no positive number.
    """
    model, metadata = load_weights(path)
    try:
        return calibrated(model, stored_temperature(metadata)), metadata
    except WeightsError as error:
        raise WeightsError(f"weights {path}: {error}") from error


def stored_temperature(metadata: Mapping[str, Any]) -> float:
    """The temperature in a weights file's metadata; 1 where there is none.

    Raises:
        WeightsError: it is no positive number.
    """
    calibration = metadata.get(CALIBRATION_KEY)
    if calibration is None:
        return 1.0
    value = calibration.get("temperature") if isinstance(calibration, Mapping) else calibration
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    temperature = float(value) if value is not None and is_number else math.nan
    if not 0.0 < temperature < math.inf:
        raise WeightsError(
            f"the temperature of its calibration must be a positive number, got {value!r}; "
            f"calibrate it again with bev calibrate"
        )
    return temperature


def calibrated(model: Segnet, temperature: float) -> Segnet:
    """A model whose occupancy logits are divided by a temperature; the same one for 1."""
    if temperature == 1.0:
        return model
    model = copy.deepcopy(model)
    last = model.segmentation_head[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    with torch.no_grad():
        last.weight /= temperature
        last.bias /= temperature
    return model
