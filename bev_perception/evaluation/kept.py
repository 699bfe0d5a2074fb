# SPDX-License-Identifier: Apache-2.0
"""What one perturbation leaves: of the overlap, and of lost cameras how true probabilities stay."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from bev_perception.datasets.targets import Targets
from bev_perception.errors import BevError
from bev_perception.evaluation.calibration_error import reliability
from bev_perception.evaluation.overlap import Overlap
from bev_perception.evaluation.probability_histogram import ProbabilityHistogram
from bev_perception.evaluation.results import finely_known, known
from bev_perception.evaluation.temperature import (
    LOGIT_LIMIT,
    LogitHistogram,
    error_after,
    fit_temperature,
)
from bev_perception.geometry import BevOutput


@dataclass
class Kept:
    """Pooled over the moments of a split.

    Attributes:
        baseline, perturbed: overlap before and with it, on the same cells.
        before, after: probabilities likewise, on the valid cells of the whole grid that cameras
            still see.
        logits: of after.
        num_seen, num_cells: cells that cameras still see, and all.
    """

    baseline: Overlap = field(default_factory=Overlap)
    perturbed: Overlap = field(default_factory=Overlap)
    before: ProbabilityHistogram = field(default_factory=ProbabilityHistogram)
    after: ProbabilityHistogram = field(default_factory=ProbabilityHistogram)
    logits: LogitHistogram = field(default_factory=LogitHistogram)
    num_seen: int = 0
    num_cells: int = 0

    def add_probabilities(self, usual: BevOutput, changed: BevOutput, truth: Targets) -> None:
        """One moment: with all cameras, and without those that are lost."""
        seen = ~changed.unknown
        self.num_seen += int(seen.sum())
        self.num_cells += seen.size
        counted = torch.from_numpy(truth.valid & seen)
        occupied = torch.from_numpy(truth.segmentation)
        probability = torch.from_numpy(changed.probability)
        self.before.update(torch.from_numpy(usual.probability), occupied, counted)
        self.after.update(probability, occupied, counted)
        logits = probability.double().logit().clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
        self.logits.update(logits, occupied, counted)

    def to_dict(self) -> dict[str, Any]:
        """IoU before and with it, and the share that is kept.

        Of lost cameras also ``seen`` (share of the cells), ``ece_before``, ``ece``,
        ``ece_open_cells``, ``brier_before``, ``brier``; ``temperature``, by which logits would
        have to be divided to be as true as a temperature makes them, 1 where they are, and
        ``ece_at_temperature``, the error then; ``ece_with_bias`` is that after a temperature and
        a bias. Both are fitted on these very cells, so they flatter.
        """
        before, after = self.baseline.iou, self.perturbed.iou
        share = after / before if before > 0.0 else float("nan")
        values = {"iou_before": known(before), "iou": known(after), "retained": known(share)}
        if not self.num_cells:
            return values
        usual, changed = reliability(self.before), reliability(self.after)
        return values | {
            "seen": known(self.num_seen / self.num_cells),
            "ece_before": finely_known(usual.expected_error),
            "ece": finely_known(changed.expected_error),
            "ece_open_cells": finely_known(changed.open_error),
            "brier_before": finely_known(usual.brier),
            "brier": finely_known(changed.brier),
            **self._fitted(),
        }

    def _fitted(self) -> dict[str, float | None]:
        """What a calibration of its own would change; nothing where nothing was seen or there."""
        try:
            plain, biased = (fit_temperature(self.logits, bias) for bias in ("none", "likelihood"))
        except BevError:
            return dict.fromkeys(("temperature", "ece_at_temperature", "ece_with_bias"))
        return {
            "temperature": known(plain.temperature),
            "ece_at_temperature": finely_known(error_after(self.logits, plain)),
            "ece_with_bias": finely_known(error_after(self.logits, biased)),
        }
