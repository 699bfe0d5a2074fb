# SPDX-License-Identifier: Apache-2.0
"""Trained networks judged on the same drives: ``bev evaluate --retention``, done once, and read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training_runs import TrainingRun, run_bev

from bev_perception.model import Segnet


@dataclass(frozen=True)
class Judging:
    """What all networks of a comparison are judged on.

    Attributes:
        test: labelled drives that none has learned from.
        stride: every so many sets are judged.
        retention_stride: every so many are judged with the rig changed, too.
        folder: of the results, inside that of the training.
    """

    test: tuple[Path, ...]
    stride: int = 1
    retention_stride: int = 5
    folder: str = "scores"

    def judge(self, training: TrainingRun) -> None:
        """Judges the weights of a finished training unless that is done."""
        if self.is_done(training):
            return
        folder = training.folder / self.folder
        run_bev(
            "evaluate", *self.test, "--weights", training.weights, "--backend", "cpu",
            "--stride", self.stride, "--retention", "--retention-stride", self.retention_stride,
            "--pictures", 1, "--out", folder, log=training.folder / f"{self.folder}.log",
        )  # fmt: skip

    def is_done(self, training: TrainingRun) -> bool:
        """Whether there are results."""
        return self._metrics_file(training).is_file()

    def metrics(self, training: TrainingRun) -> dict[str, Any]:
        """What a network is worth, see docs/evaluation.md."""
        return dict(json.loads(self._metrics_file(training).read_text(encoding="utf-8")))

    def _metrics_file(self, training: TrainingRun) -> Path:
        return training.folder / self.folder / "metrics.json"


def kept(metrics: Mapping[str, Any], kind: str, *parts: str) -> float | None:
    """The least share of the IoU that is kept among perturbations of a kind.

    Args:
        metrics: with retention.
        kind: of bev_perception.evaluation.perturbations.KINDS.
        parts: of names, any of which one must have; none takes all of the kind.
    """
    shares = [
        entry["retained"]
        for entry in metrics["retention"]["perturbations"]
        if entry["kind"] == kind and (not parts or any(part in entry["name"] for part in parts))
    ]
    return min((share for share in shares if share is not None), default=None)


def shown_share(value: float | None) -> str:
    """A share with three digits, for tables."""
    return "-" if value is None else f"{value:.3f}"


def num_parameters(model: Segnet) -> int:
    """Numbers that are learned."""
    return sum(parameter.numel() for parameter in model.parameters())
