# SPDX-License-Identifier: Apache-2.0
"""What is left of maps and of the truth of probabilities with some of the cameras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bev_perception.visualization import Table

_COLUMNS = (
    ("cells seen", "seen", 1),
    ("IoU with all", "iou_before", 3),
    ("IoU", "iou", 3),
    ("ECE with all", "ece_before", 4),
    ("ECE", "ece", 4),
    ("Brier with all", "brier_before", 4),
    ("Brier", "brier", 4),
    ("best temperature", "temperature", 2),
    ("ECE with it", "ece_at_temperature", 4),
    ("and a bias", "ece_with_bias", 4),
)


def camera_subset_table(models: Mapping[str, Mapping[str, Any]]) -> Table | None:
    """One row per lost cameras and model; None where nobody measured it."""
    measured = {name: m["camera_subsets"] for name, m in models.items() if m.get("camera_subsets")}
    if not measured:
        return None
    several = len(measured) > 1
    rows = [
        [
            f"{model}: {entry['name']}" if several else entry["name"],
            *(_shown(entry.get(key), key, digits) for _, key, digits in _COLUMNS),
        ]
        for model, subsets in measured.items()
        for entry in subsets["perturbations"]
    ]
    sets = ", ".join(str(subsets["sets"]) for subsets in measured.values())
    return Table(
        "Some of the cameras",
        ["cameras", *(name for name, _, _ in _COLUMNS)],
        rows,
        f"Over {sets} sets. On the cells that the remaining cameras see, with all cameras and with "
        f"those alone: IoU within ±25 m, calibration error and Brier score on the whole grid. The "
        f"best temperature is 1 where no temperature would make probabilities truer; the last "
        f"columns flatter, being fitted on these very sets.",
    )


def _shown(value: float | None, key: str, digits: int) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.{digits}f} %" if key == "seen" else f"{value:.{digits}f}"
