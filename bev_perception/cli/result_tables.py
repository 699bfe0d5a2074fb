# SPDX-License-Identifier: Apache-2.0
"""Metrics and timings as tables for the terminal and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bev_perception.visualization import KeyFigure, Table

REGION_NAMES = {
    "within_25m": "within ±25 m",
    "within_50m": "within ±50 m",
    "ring_0_10m": "ring 0-10 m",
    "ring_10_20m": "ring 10-20 m",
    "ring_20_25m": "ring 20-25 m",
    "ring_0_20m": "ring 0-20 m",
    "ring_20_35m": "ring 20-35 m",
    "ring_35_50m": "ring 35-50 m",
}

STAGE_NAMES = {
    "read": "read and decode",
    "wait": "wait for the worker",
    "decode": "decode images",
    "prepare": "prepare images",
    "table": "tap table",
    "engine": "network",
    "objects": "objects",
    "publish": "publish",
    "node": "all but network",
    "total": "in all",
}


def accuracy_table(metrics: Mapping[str, Any]) -> Table:
    """IoU and centre precision and recall per region, from Evaluator.compute."""
    regions = metrics["iou"]
    rows = [
        [
            REGION_NAMES.get(region, region),
            share(metrics["iou"].get(region)),
            share(metrics["center_precision"].get(region)),
            share(metrics["center_recall"].get(region)),
        ]
        for region in regions
    ]
    return Table(
        "Accuracy",
        ["region", "IoU", "centre precision", "centre recall"],
        rows,
        f"{metrics['sets']} labelled sets. Vehicles of which cameras see more than 40 %; IoU "
        f"pooled over all sets, centres matched within 1.5 m.",
    )


def timing_table(timings_ms: Mapping[str, Mapping[str, float]]) -> Table:
    """Median and 95th percentile per stage."""
    rows = [
        [STAGE_NAMES.get(stage, stage), f"{values['median']:.1f}", f"{values['p95']:.1f}"]
        for stage, values in timings_ms.items()
    ]
    return Table("Time per camera set", ["stage", "median ms", "p95 ms"], rows)


def health_table(bad_sets: Mapping[str, Mapping[str, int]], num_sets: int) -> Table:
    """Usable sets and causes of trouble per camera."""
    rows = [
        [
            name,
            f"{num_sets - sum(causes.values())} of {num_sets}",
            "; ".join(f"{cause} ({count})" for cause, count in causes.items()) or "none",
        ]
        for name, causes in bad_sets.items()
    ]
    return Table("Cameras", ["camera", "usable", "trouble"], rows)


def key_figures(
    metrics: Mapping[str, Any] | None, timings_ms: Mapping[str, Mapping[str, float]]
) -> list[KeyFigure]:
    """The few numbers at the top of a report."""
    figures = []
    if metrics is not None:
        precision, recall = metrics["center_precision"], metrics["center_recall"]
        figures += [
            KeyFigure("IoU within ±25 m", share(metrics["iou"].get("within_25m"))),
            KeyFigure("IoU within ±50 m", share(metrics["iou"].get("within_50m"))),
            KeyFigure("Centre precision", share(precision.get("within_25m")), "±25 m"),
            KeyFigure("Centre recall", share(recall.get("within_25m")), "±25 m"),
        ]
    if "total" in timings_ms:
        figures.append(KeyFigure("Time per set", f"{timings_ms['total']['median']:.0f} ms"))
    return figures


def as_text(table: Table) -> str:
    """The table for a terminal."""
    return text_table(table.columns, table.rows)


def text_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns, the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    lines = []
    for row in [columns, *rows]:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def share(value: float | None) -> str:
    """Two digits, a dash where nobody knows."""
    return "-" if value is None else f"{value:.2f}"
