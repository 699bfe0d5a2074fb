# SPDX-License-Identifier: Apache-2.0
"""Whether a metrics.json holds what tables and curves are made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_NUMBERS = (
    "iou",
    "iou_all_vehicles",
    "segmentation",
    "center_precision",
    "center_recall",
    "center_counts",
    "center_ap",
    "boxes",
    "panoptic",
    "calibration",
    "precision_recall",
)
"""Sections whose leaves are numbers or null."""
_CURVES = {
    "precision_recall": ("recall", "precision", "thresholds", "iou"),
    "calibration": ("confidence", "frequency"),
}
"""Lists that are drawn against one another."""
_MOST_POINTS = 100_000


def check_metrics(metrics: Any) -> None:
    """Looks through what ``bev evaluate`` is said to have written.

    Raises:
        ValueError, KeyError, TypeError: something is of another kind than it is written.
    """
    if not isinstance(metrics, Mapping):
        raise TypeError(f"metrics are a {type(metrics).__name__}, expected an object")
    for name in _NUMBERS:
        if name in metrics and not isinstance(metrics[name], Mapping):
            raise TypeError(f"{name} is no object of numbers")
        _check_leaves(metrics.get(name), name)
    _ = metrics["iou"]["within_25m"], metrics["calibration"]["ece"]
    _ = metrics["center_ap"]["within_25m"]["mean"], metrics["panoptic"]["within_25m"]["pq"]
    without = metrics.get("without_points")
    if without is not None:
        _ = without["sensor"]
        _check_leaves(without["sets"], "without_points.sets")
    for section, names in _CURVES.items():
        curves = [metrics[section][name] for name in names]
        if not all(isinstance(curve, list) for curve in curves):
            raise TypeError(f"{section}: {', '.join(names)} must be lists")
        sizes = {len(curve) for curve in curves}
        if len(sizes) != 1 or max(sizes) > _MOST_POINTS:
            raise ValueError(f"{section}: {', '.join(names)} have {sorted(sizes)} values")
        if any(isinstance(value, (list, dict)) for curve in curves for value in curve):
            raise TypeError(f"{section}: {', '.join(names)} must be lists of numbers")


def _check_leaves(value: Any, place: str) -> None:
    if isinstance(value, Mapping):
        for key, entry in value.items():
            _check_leaves(entry, f"{place}.{key}")
    elif isinstance(value, list):
        for entry in value:
            _check_leaves(entry, place)
    elif value is not None and not isinstance(value, (int, float)):
        raise TypeError(f"{place[:100]} is {value!r:.100}, expected a number")
    elif isinstance(value, int) and abs(value) > 1 << 53:
        raise ValueError(f"{place[:100]} is out of range")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{place[:100]} is {value}")
