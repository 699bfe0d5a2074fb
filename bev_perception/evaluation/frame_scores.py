# SPDX-License-Identifier: Apache-2.0
"""How good each single answer was: for pictures and for comparing models moment by moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import ConfigurationError
from bev_perception.evaluation.regions import MAIN_REGIONS, NEAR


@dataclass(frozen=True)
class FrameScore:
    """One judged moment.

    Attributes:
        source: path that was evaluated, a bag or a folder of shards.
        drive: name of the drive in it.
        stamp_ns: of the images.
        cells: (intersection, union) in cells by region.
    """

    source: str
    drive: str
    stamp_ns: int
    cells: Mapping[str, tuple[int, int]]

    @classmethod
    def of(
        cls, source: str, drive: str, stamp_ns: int, confusion: Mapping[str, NDArray[np.int64]]
    ) -> FrameScore:
        """From the confusion matrices of Evaluator.update."""
        cells = {}
        for region in MAIN_REGIONS:
            (_, invented), (missed, found) = confusion[region.name].tolist()
            cells[region.name] = found, found + invented + missed
        return cls(source, drive, stamp_ns, cells)

    @property
    def place(self) -> tuple[str, str]:
        """What names the drive within its evaluation: many recorders call every bag the same."""
        return self.source, self.drive

    @property
    def key(self) -> tuple[str, int]:
        """What names the moment in any evaluation, wherever the drive lies."""
        return self.drive, self.stamp_ns

    def iou(self, region: str = NEAR.name) -> float:
        """Of this moment, NaN where nothing was nor was predicted."""
        intersection, union = self.cells[region]
        return intersection / union if union else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Plain values that from_dict restores."""
        cells = {name: list(counts) for name, counts in self.cells.items()}
        return {"source": self.source, "drive": self.drive, "stamp_ns": self.stamp_ns} | {
            "cells": cells
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FrameScore:
        """Inverse of to_dict.

        Raises:
            ConfigurationError: something is missing or of another kind.
        """
        try:
            cells = {str(name): (int(i), int(u)) for name, (i, u) in values["cells"].items()}
            return cls(str(values["source"]), str(values["drive"]), int(values["stamp_ns"]), cells)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigurationError(f"a damaged frame in frames.json: {error!r}") from error


def best_median_worst(
    scores: Sequence[FrameScore], count: int
) -> dict[str, tuple[FrameScore, ...]]:
    """So many moments each, by IoU within +-25 m; moments without a vehicle there are left out.

    No moment is in two groups; where there are too few, groups are smaller.

    Returns:
        "best" (best first), "median" (those around it, best first) and "worst" (worst first).
    """
    ranked = sorted((s for s in scores if s.cells[NEAR.name][1]), key=lambda s: -s.iou())
    each = min(count, len(ranked) // 3)
    if each == 0:
        return {"best": tuple(ranked[:count]), "median": (), "worst": ()}
    middle = (len(ranked) - each) // 2
    return {
        "best": tuple(ranked[:each]),
        "median": tuple(ranked[middle : middle + each]),
        "worst": tuple(reversed(ranked[-each:])),
    }
