# SPDX-License-Identifier: Apache-2.0
"""Calibrated probabilities: a temperature beside the weights, folded into the last layer.

Weights files hold what training left; how sure the network may be of it stands in their metadata.
Training goes on from the former; whoever runs the network folds in the latter, so that every
backend and every export answers calibrated probabilities at no cost. A temperature divides
logits: it moves no cell across the probability 0.5, but it does across any other threshold. A
bias, which is added before, moves cells across 0.5, too.
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
"""In the metadata of weights: a mapping with ``temperature`` and perhaps ``bias``."""


def load_calibrated(path: str | os.PathLike[str]) -> tuple[Segnet, dict[str, Any]]:
    """A model whose probabilities are calibrated where its file says how, and the metadata.

    Raises:
        WeightsError: see load_weights; or the calibration is no positive number.
    """
    model, metadata = load_weights(path)
    try:
        return calibrated(model, *stored_calibration(metadata)), metadata
    except WeightsError as error:
        raise WeightsError(f"weights {path}: {error}") from error


def stored_calibration(metadata: Mapping[str, Any]) -> tuple[float, float]:
    """Temperature and bias in a weights file's metadata; 1 and 0 where there are none.

    Raises:
        WeightsError: the temperature is no positive number, or the bias none at all.
    """
    calibration = metadata.get(CALIBRATION_KEY)
    if calibration is None:
        return 1.0, 0.0
    values = calibration if isinstance(calibration, Mapping) else {}
    temperature, bias = _number(values.get("temperature")), _number(values.get("bias", 0.0))
    if not (0.0 < temperature < math.inf and math.isfinite(bias)):
        raise WeightsError(
            f"its calibration needs a positive temperature and a finite bias, got {calibration!r}; "
            f"calibrate it again with bev calibrate"
        )
    return temperature, bias


def calibrated(model: Segnet, temperature: float, bias: float = 0.0) -> Segnet:
    """A model whose occupancy logits are (logit + bias) / temperature; the same one for 1 and 0."""
    if (temperature, bias) == (1.0, 0.0):
        return model
    model = copy.deepcopy(model)
    last = model.segmentation_head[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    with torch.no_grad():
        last.weight /= temperature
        last.bias += bias
        last.bias /= temperature
    return model


def _number(value: object) -> float:
    """NaN for whatever is no number."""
    return float(value) if isinstance(value, (int, float)) and value is not True else math.nan
