# SPDX-License-Identifier: Apache-2.0
"""What an evaluation found as tables, one column per model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bev_perception.cli.result_tables import REGION_NAMES
from bev_perception.visualization import Table

Metrics = Mapping[str, Any]
_MAIN = {"within_25m": "±25 m", "within_50m": "±50 m"}


def overlap_tables(models: Mapping[str, Metrics]) -> list[Table]:
    """IoU by region with and without the filter of visibility, and the other scores of cells."""
    every = _by_region(models, lambda metrics, region: metrics["iou_all_vehicles"].get(region))
    scores = [
        (f"{label}, {_MAIN[region]}", ["segmentation", region, key])
        for region in _MAIN
        for key, label in (("pa", "PA"), ("mpa", "MPA"), ("miou", "mIoU"), ("fwiou", "FWIoU"))
    ]
    return [
        Table(
            "IoU of vehicles",
            ["region", *models],
            _by_region(models, lambda metrics, region: metrics["iou"].get(region)),
            "Pooled over all sets, less the cells of vehicles of which cameras see 40 % or less.",
        ),
        Table(
            "IoU of all vehicles",
            ["region", *models],
            every,
            "The same where every vehicle counts, also those that no camera sees.",
        ),
        Table(
            "Cells",
            ["score", *models],
            _rows(models, scores),
            "Pixel accuracy, its mean over the classes free and vehicle, mean IoU of both and IoU "
            "weighted with their share (Garcia-Garcia et al. 2017).",
        ),
    ]


def class_table(models: Mapping[str, Metrics]) -> Table | None:
    """IoU of each class; None where no model tells classes apart."""
    told = {name: metrics.get("iou_by_class", {}) for name, metrics in models.items()}
    classes = list(dict.fromkeys(label for found in told.values() for label in found))
    if not classes:
        return None
    regions = list(dict.fromkeys(name for metrics in models.values() for name in metrics["iou"]))
    entries = [
        (f"{label.replace('_', '-')}, {REGION_NAMES.get(region, region)}", [label, region])
        for label in classes
        for region in regions
    ]
    return Table(
        "IoU by class",
        ["class", *models],
        _rows(told, entries),
        "Of each class' own probability against its own footprints, the filter of visibility as "
        "above; the other tables judge all classes together.",
    )


def object_tables(models: Mapping[str, Metrics]) -> list[Table]:
    """Centres found, their average precision, how well boxes fit, and panoptic quality."""
    centers = [
        (f"{label}, {_MAIN[region]}", [f"center_{key}", region])
        for region in _MAIN
        for key, label in (("precision", "precision"), ("recall", "recall"))
    ]
    distances = [
        (f"{name}, {_MAIN[region]}", ["center_ap", region, key])
        for region in _MAIN
        for key, name in (
            ("0.5", "AP at 0.5 m"),
            ("1", "AP at 1 m"),
            ("2", "AP at 2 m"),
            ("4", "AP at 4 m"),
            ("mean", "mean AP"),
        )
    ]
    panoptic = [
        (f"{key.upper()}, {_MAIN[region]}", ["panoptic", region, key])
        for region in _MAIN
        for key in ("pq", "sq", "rq")
    ]
    return [
        Table(
            "Centres",
            ["measure", *models],
            _rows(models, [*centers, *distances]),
            "Precision and recall of the objects as published, matched within 1.5 m. Average "
            "precision as nuScenes defines it, over all scores from 0.05 on.",
        ),
        _box_table(models),
        Table(
            "Panoptic quality",
            ["measure", *models],
            _rows(models, panoptic),
            "Of vehicles as groups of cells (Kirillov et al. 2019): PQ = SQ times RQ.",
        ),
    ]


def _box_table(models: Mapping[str, Metrics]) -> Table:
    measures = (
        ("translation_error_m", "translation error, m"),
        ("scale_error", "scale error"),
        ("orientation_error_deg", "orientation error, degrees"),
        ("axis_error_deg", "the same, front and rear alike"),
        ("iou", "IoU"),
    )
    rows = []
    for region, name in _MAIN.items():
        rows += _rows(models, [(f"matches, {name}", ["boxes", region, "matches"])], digits=0)
        rows += _rows(
            models, [(f"{label}, {name}", ["boxes", region, key]) for key, label in measures]
        )
    return Table(
        "Boxes",
        ["measure", *models],
        rows,
        "Means over the vehicles found within 2 m, seen from above; defined as nuScenes' "
        "true-positive errors. Scale error is 1 - IoU of length and width alone.",
    )


def calibration_table(models: Mapping[str, Metrics]) -> Table:
    """How true probabilities are, and what other thresholds would give."""
    entries = [
        ("expected calibration error", ["calibration", "ece"]),
        ("of cells at 5 to 95 %", ["calibration", "ece_open_cells"]),
        ("largest of a bin", ["calibration", "maximum"]),
        ("Brier score", ["calibration", "brier"]),
        ("area below precision and recall", ["precision_recall", "area"]),
        ("best threshold within ±25 m", ["precision_recall", "best_threshold"]),
        ("IoU there", ["precision_recall", "best_iou"]),
    ]
    return Table(
        "Probabilities",
        ["measure", *models],
        _rows(models, entries, digits=4),
        "15 bins over the cells that cameras see. The best threshold was chosen on these very "
        "sets, so it flatters.",
    )


def retention_table(models: Mapping[str, Metrics]) -> Table | None:
    """IoU under perturbations, and the share that is kept; None where nobody measured it."""
    measured = {name: m["retention"] for name, m in models.items() if m.get("retention")}
    if not measured:
        return None
    by_name = {
        model: {entry["name"]: entry for entry in retention["perturbations"]}
        for model, retention in measured.items()
    }
    names = list(dict.fromkeys(name for entries in by_name.values() for name in entries))
    columns = ["rig"]
    rows: list[list[str]] = [[name] for name in names]
    for model, entries in by_name.items():
        prefix = f"{model}: " if len(measured) > 1 else ""
        columns += [prefix + column for column in ("IoU before", "IoU", "points", "kept")]
        for row, name in zip(rows, names):
            entry = entries.get(name, {})
            before, after = entry.get("iou_before"), entry.get("iou")
            row += [_number(before), _number(after), _points(before, after)]
            row.append(_percent(entry.get("retained")))
    sets = ", ".join(str(retention["sets"]) for retention in measured.values())
    return Table(
        "Retention",
        columns,
        rows,
        f"IoU within ±25 m over {sets} sets, on the same cells before and with the change; for a "
        f"lost camera on the cells that the others see. Known: cameras turned, the network told; "
        f"black comes into view at the images' edges. Unnoticed: the same, the network not told. "
        f"Unknown: images stay, the network is told a wrong rig.",
    )


def _by_region(
    models: Mapping[str, Metrics], value: Callable[[Metrics, str], float | None]
) -> list[list[str]]:
    regions = list(dict.fromkeys(name for metrics in models.values() for name in metrics["iou"]))
    return [
        [REGION_NAMES.get(region, region)]
        + [_number(value(metrics, region)) for metrics in models.values()]
        for region in regions
    ]


def _rows(
    models: Mapping[str, Metrics], entries: list[tuple[str, list[str]]], digits: int = 3
) -> list[list[str]]:
    return [
        [label, *(_number(_at(metrics, path), digits) for metrics in models.values())]
        for label, path in entries
    ]


def _at(metrics: Metrics, path: list[str]) -> float | None:
    value: Any = metrics
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, (int, float)) else None


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _points(before: float | None, after: float | None) -> str:
    return "-" if before is None or after is None else f"{100.0 * (after - before):+.1f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100.0 * value:.1f} %"
