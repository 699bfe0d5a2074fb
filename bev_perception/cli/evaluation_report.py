# SPDX-License-Identifier: Apache-2.0
"""The report page of one evaluation or of several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from bev_perception.cli.camera_subset_table import camera_subset_table
from bev_perception.cli.evaluation_folder import EvaluationFolder
from bev_perception.cli.evaluation_tables import (
    calibration_table,
    class_table,
    object_tables,
    overlap_tables,
    retention_table,
)
from bev_perception.cli.memory_table import memory_table
from bev_perception.cli.output_directory import plain
from bev_perception.cli.result_tables import share
from bev_perception.errors import ConfigurationError
from bev_perception.evaluation.points_count import points_findings
from bev_perception.visualization import (
    Curve,
    KeyFigure,
    Picture,
    Report,
    Table,
    curve_picture,
)
from bev_perception.visualization.palette import EGO, PREDICTION, VEHICLE_FILL

_COLORS = (PREDICTION, EGO, VEHICLE_FILL, (190, 150, 255), (150, 230, 150))


def evaluation_report(evaluation: EvaluationFolder, command: str, name: str = "") -> Report:
    """The page of one evaluation with its stored pictures, under a name or the folder's own.

    Raises:
        ConfigurationError: a picture is missing.
    """
    metrics = evaluation.metrics
    models = {"value": metrics}
    tables = all_tables(models)
    pictures = [curves_picture({name or evaluation.name: metrics})]
    for stored in evaluation.pictures:
        image = cv2.imread(str(evaluation.path / stored.file))
        if image is None:
            raise ConfigurationError(f"{evaluation.path / stored.file} is missing or no picture")
        picture = np.ascontiguousarray(image[..., ::-1]).astype(np.uint8)
        pictures.append(Picture(picture, stored.alt, stored.caption))
    return Report(
        title=f"Evaluation of {evaluation.run['arguments'].get('weights', evaluation.name)}",
        subtitle=f"{metrics['sets']} labelled sets of {metrics['bags']} drives",
        figures=key_figures(metrics),
        findings=findings_of(metrics),
        pictures=pictures,
        tables=tables,
        configuration=_plain_run(evaluation.run),
        command=command,
    )


def key_figures(metrics: Mapping[str, Any]) -> list[KeyFigure]:
    """The few numbers at the top."""
    error = metrics["calibration"]["ece"]
    return [
        KeyFigure("IoU within ±25 m", share(metrics["iou"].get("within_25m"))),
        KeyFigure("IoU within ±50 m", share(metrics["iou"].get("within_50m"))),
        KeyFigure("Mean AP", share(metrics["center_ap"]["within_25m"]["mean"]), "±25 m"),
        KeyFigure("Panoptic quality", share(metrics["panoptic"]["within_25m"]["pq"]), "±25 m"),
        KeyFigure("Calibration error", "-" if error is None else f"{100 * error:.2f} %"),
    ]


def findings_of(metrics: Mapping[str, Any]) -> list[str]:
    """What a reader of the figures should know."""
    without = metrics.get("without_points")
    if without is None:
        return []
    return points_findings(without["sensor"], without["sets"], metrics["sets"])


def all_tables(models: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """Every table, one column per model."""
    found = [*overlap_tables(models), *object_tables(models), calibration_table(models)]
    measured = (
        class_table(models),
        memory_table(models),
        retention_table(models),
        camera_subset_table(models),
    )
    return [*found, *(table for table in measured if table is not None)]


def curves_picture(models: Mapping[str, Mapping[str, Any]]) -> Picture:
    """Precision over recall, IoU over the threshold, and reliability, side by side."""
    named = list(zip(models.items(), _COLORS))
    curves = [(name, color, metrics["precision_recall"]) for (name, metrics), color in named]
    panels = [
        curve_picture(
            "Cells within 25 m",
            "recall",
            "precision",
            [Curve(_ascii(n), c["recall"], c["precision"], color) for n, color, c in curves],
        ),
        curve_picture(
            "IoU within 25 m",
            "threshold",
            "IoU",
            [Curve(_ascii(n), c["thresholds"], c["iou"], color) for n, color, c in curves],
        ),
        curve_picture(
            "Reliability",
            "probability said",
            "share occupied",
            [
                Curve(
                    _ascii(name),
                    metrics["calibration"]["confidence"],
                    metrics["calibration"]["frequency"],
                    color,
                    marked=True,
                )
                for (name, metrics), color in named
            ],
            diagonal=True,
        ),
    ]
    return Picture(
        np.hstack(panels),
        "Three curves: precision over recall of cells, IoU over the threshold, and how often "
        "cells of each probability were occupied.",
        "Left: what each threshold of occupancy gives. Middle: its IoU. Right: probabilities "
        "are true where points lie on the diagonal; below it the network says too much.",
    )


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode("ascii")


def _plain_run(run: Mapping[str, Any]) -> dict[str, object]:
    return {key: plain(value) for key, value in run.items()}


def names_of(evaluations: Sequence[EvaluationFolder]) -> list[str]:
    """A name for each, different from all others."""
    names = [evaluation.name for evaluation in evaluations]
    if len(set(names)) == len(names):
        return names
    return [f"{number}: {name}" for number, name in enumerate(names, start=1)]
