# SPDX-License-Identifier: Apache-2.0
"""Average precision of centres, as the nuScenes detection benchmark defines it.

Caesar et al. 2020, "nuScenes: A multimodal dataset for autonomous driving" (arXiv:1903.11027),
section 3.1, and its devkit's detection evaluation: predictions and truth match by the distance
of their centres on the ground, at 0.5, 1, 2 and 4 m. AP is the area under precision over recall,
where recall and precision exceed 10 %, normalised to 0..1. Precision is interpolated at 101
values of recall; where a recall is never reached, it is 0.

One deviation, the same as in all measures here: a vehicle that cameras hardly see is neither
wanted nor, when it is predicted, wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.evaluation.center_matching import INVENTED, match_centers
from bev_perception.evaluation.regions import Region

DISTANCES_M = (0.5, 1.0, 2.0, 4.0)
MIN_RECALL = MIN_PRECISION = 0.1
_RECALLS = np.linspace(0.0, 1.0, 101)


def average_precision(scores: ArrayLike, hits: ArrayLike, num_true: int) -> float:
    """Normalised area under the precision-recall curve.

    Args:
        scores: (P,) confidence of all predictions of a split.
        hits: (P,) bool, whether each found a true object that no better one had found.
        num_true: true objects of the split.

    Returns:
        0 to 1; NaN without true objects.
    """
    if num_true == 0:
        return float("nan")
    order = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
    right = np.asarray(hits, dtype=bool)[order]
    if not right.any():
        return 0.0
    found = np.cumsum(right)
    recall, precision = found / num_true, found / np.arange(1, len(found) + 1)
    interpolated = np.interp(_RECALLS, recall, precision, right=0.0)
    above = interpolated[round(100 * MIN_RECALL) + 1 :] - MIN_PRECISION
    return float(np.mean(np.maximum(above, 0.0)) / (1.0 - MIN_PRECISION))


@dataclass
class CenterPrecision:
    """Collects matches of a split, a few bytes per prediction; see compute.

    Attributes:
        regions: where to judge, by the true centre where there is one.
        distances_m: largest distances of a match.
    """

    regions: Sequence[Region]
    distances_m: Sequence[float] = DISTANCES_M
    _scores: dict[tuple[str, float], list[NDArray[np.float32]]] = field(default_factory=dict)
    _hits: dict[tuple[str, float], list[NDArray[np.bool_]]] = field(default_factory=dict)
    _num_true: dict[str, int] = field(default_factory=dict)

    def update(
        self, predicted: ArrayLike, scores: ArrayLike, truth: ArrayLike, visible: Sequence[bool]
    ) -> None:
        """One moment, see match_centers."""
        found = np.asarray(predicted, dtype=np.float64).reshape(-1, 2)
        confidence = np.asarray(scores, dtype=np.float32)
        centers = np.asarray(truth, dtype=np.float64).reshape(-1, 2)
        seen = np.asarray(visible, dtype=bool)
        for region in self.regions:
            wanted = int((seen & region.contains(centers)).sum())
            self._num_true[region.name] = self._num_true.get(region.name, 0) + wanted
        for distance in self.distances_m:
            matches = match_centers(found, confidence, centers, seen, distance)
            hit = matches >= 0
            where = found.copy()
            where[hit] = centers[matches[hit]]
            for region in self.regions:
                judged = (hit | (matches == INVENTED)) & region.contains(where)
                key = region.name, distance
                self._scores.setdefault(key, []).append(confidence[judged])
                self._hits.setdefault(key, []).append(hit[judged])

    def compute(self) -> Mapping[str, Mapping[str, float]]:
        """By region and distance in metres (as text), and their ``mean``; 0 to 1 or NaN."""
        results = {}
        for region in self.regions:
            values = {
                f"{distance:g}": self._value(region.name, distance) for distance in self.distances_m
            }
            results[region.name] = values | {"mean": float(np.mean(list(values.values())))}
        return results

    def _value(self, region: str, distance: float) -> float:
        key = region, distance
        if key not in self._scores:
            return float("nan")
        scores, hits = np.concatenate(self._scores[key]), np.concatenate(self._hits[key])
        return average_precision(scores, hits, self._num_true[region])
