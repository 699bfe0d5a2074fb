# SPDX-License-Identifier: Apache-2.0
"""Two models on the same moments: which one is better, where, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import ConfigurationError
from bev_perception.evaluation.frame_scores import FrameScore

RESAMPLES = 4000
CONFIDENCE = 0.95
FEW_DRIVES = 8
"""With fewer drives single moments are resampled."""


@dataclass(frozen=True)
class Difference:
    """Pooled IoU of two models and the interval of the difference.

    Attributes:
        first, second: pooled IoU, 0 to 1; NaN where nothing was nor was predicted.
        low, high: bounds of second - first.
        unit: what was resampled, "drive" or "moment".
    """

    first: float
    second: float
    low: float
    high: float
    unit: str

    @property
    def is_sure(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0.0 or self.high < 0.0


@dataclass(frozen=True)
class Pair:
    """One moment as two models were judged on it."""

    first: FrameScore
    second: FrameScore

    def gain(self, region: str) -> float:
        """How much better the second is, in IoU of this moment; NaN where one is unknown."""
        return self.second.iou(region) - self.first.iou(region)


def paired(first: Sequence[FrameScore], second: Sequence[FrameScore]) -> list[Pair]:
    """The moments that both evaluations hold, in the order of the first.

    Raises:
        ConfigurationError: there are none, or a moment is there twice.
    """
    by_key = {score.key: score for score in second}
    if len(by_key) < len(second) or len({score.key for score in first}) < len(first):
        raise ConfigurationError(
            "an evaluation holds the same moment twice: bags of one name and the same stamps; "
            "rename them to compare"
        )
    pairs = [Pair(score, by_key[score.key]) for score in first if score.key in by_key]
    if not pairs:
        raise ConfigurationError(
            f"the evaluations have no moment in common (for example {_example(first)} and "
            f"{_example(second)}); evaluate both models on the same bags with the same --stride"
        )
    return pairs


def most_changed(pairs: Sequence[Pair], region: str, count: int) -> tuple[list[Pair], list[Pair]]:
    """So many moments that got better, most first, and that got worse, most first."""
    known = [pair for pair in pairs if np.isfinite(pair.gain(region))]
    ranked = sorted(known, key=lambda pair: -pair.gain(region))
    better = [pair for pair in ranked if pair.gain(region) > 0.0][:count]
    worse = [pair for pair in reversed(ranked) if pair.gain(region) < 0.0][:count]
    return better, worse


def bootstrap_difference(
    pairs: Sequence[Pair], region: str, resamples: int = RESAMPLES, seed: int = 0
) -> Difference:
    """Percentile interval of the difference of pooled IoU from a paired bootstrap.

    Both models are judged on the same drawn sample each time (Efron and Tibshirani 1993, chapter
    13). Moments of one drive resemble each other, so whole drives are drawn where there are
    enough of them.
    """
    numbers: dict[tuple[str, str], int] = {}
    drives = [numbers.setdefault(pair.first.place, len(numbers)) for pair in pairs]
    by_drive = len(numbers) >= FEW_DRIVES
    groups = np.array(drives) if by_drive else np.arange(len(pairs))
    cells = np.array([[*p.first.cells[region], *p.second.cells[region]] for p in pairs], float)
    sums = np.zeros((int(groups.max()) + 1, 4))
    np.add.at(sums, groups, cells)
    random = np.random.default_rng(seed)
    shares = np.full(len(sums), 1.0 / len(sums))
    drawn = random.multinomial(len(sums), shares, size=resamples).astype(np.float64) @ sums
    values = _iou(drawn)
    gains = values[1] - values[0]
    outside = 50.0 * (1.0 - CONFIDENCE)
    known = gains[np.isfinite(gains)]
    low, high = (float("nan"),) * 2
    if len(known):
        low, high = np.percentile(known, (outside, 100.0 - outside)).tolist()
    first, second = _iou(sums.sum(axis=0)).tolist()
    return Difference(first, second, low, high, "drive" if by_drive else "moment")


def _iou(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, ...) IoU of both from (..., 4) intersections and unions."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([cells[..., 0] / cells[..., 1], cells[..., 2] / cells[..., 3]])


def _example(scores: Sequence[FrameScore]) -> str:
    return f"{scores[0].drive} at {scores[0].stamp_ns} ns" if scores else "none at all"
