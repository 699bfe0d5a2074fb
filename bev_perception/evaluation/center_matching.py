# SPDX-License-Identifier: Apache-2.0
"""Which predicted centre stands for which true one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist

from bev_perception.evaluation.regions import Region
from bev_perception.geometry import ObjectBox

INVENTED, NOT_COUNTED = -1, -2
"""Where there is no true centre to name, see match_centers."""


@dataclass(frozen=True)
class CenterCounts:
    """Centres found, invented and missed; sums of these pool over a split."""

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0

    def __add__(self, other: CenterCounts) -> CenterCounts:
        return CenterCounts(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
        )

    @property
    def precision(self) -> float:
        """Share of the predicted centres that are right; NaN when none was predicted."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Share of the true centres that were found; NaN when there were none."""
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)


def match_centers(
    predicted: ArrayLike,
    scores: ArrayLike,
    truth: ArrayLike,
    visible: Iterable[bool],
    max_distance_m: float,
) -> NDArray[np.intp]:
    """Matches predicted to true centres, best score first, each to its nearest free one.

    True objects that are not visible are neither missed nor hit, and predictions nearest to
    them are not counted.

    Args:
        predicted: (P, 2) metres.
        scores: (P,) confidence.
        truth: (T, 2) metres, all annotated vehicles.
        visible: (T,) which of them count.
        max_distance_m: largest distance of a match, metres, included.

    Returns:
        (P,) the index of the true centre that each prediction found, INVENTED or NOT_COUNTED.
    """
    found = np.asarray(predicted, dtype=np.float64).reshape(-1, 2)
    centers = np.asarray(truth, dtype=np.float64).reshape(-1, 2)
    counts_as = np.fromiter(visible, dtype=bool, count=len(centers))
    distances = cdist(found, centers)
    matched = np.zeros(len(centers), dtype=bool)
    matches = np.full(len(found), INVENTED, dtype=np.intp)
    for index in np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable"):
        free = np.flatnonzero((distances[index] <= max_distance_m) & ~matched)
        if len(free):
            nearest = free[np.argmin(distances[index, free])]
            matched[nearest] = counts_as[nearest]  # one that does not count stays free for others
            matches[index] = nearest if counts_as[nearest] else NOT_COUNTED
    return matches


def match_objects(
    found: Sequence[ObjectBox],
    truth: Sequence[ObjectBox],
    visible: Iterable[bool],
    max_distance_m: float,
) -> NDArray[np.intp]:
    """match_centers of boxes in one frame, (F,) for those found."""
    scores = [box.score for box in found]
    return match_centers(
        ground_centers(found), scores, ground_centers(truth), visible, max_distance_m
    )


def ground_centers(boxes: Sequence[ObjectBox]) -> NDArray[np.float64]:
    """(N, 2) x, y of the centres, metres."""
    return np.array([box.center[:2] for box in boxes]).reshape(-1, 2)


def counts_in_region(
    predicted: ArrayLike,
    matches: NDArray[np.intp],
    truth: ArrayLike,
    visible: Iterable[bool],
    region: Region,
) -> CenterCounts:
    """Counts the matches of match_centers in a region.

    Matching knows no border: the region decides afterwards, by the true centre where there is
    one, so an object at the edge is not counted twice.
    """
    centers = np.asarray(truth, dtype=np.float64).reshape(-1, 2)
    wanted = np.fromiter(visible, dtype=bool, count=len(centers)) & region.contains(centers)
    hits = int(wanted[matches[matches >= 0]].sum())
    invented = np.asarray(predicted, dtype=np.float64).reshape(-1, 2)[matches == INVENTED]
    return CenterCounts(hits, int(region.contains(invented).sum()), int(wanted.sum()) - hits)


def center_matches(
    predicted: ArrayLike,
    scores: ArrayLike,
    truth: ArrayLike,
    visible: Iterable[bool],
    region: Region,
    max_distance_m: float = 1.5,
) -> CenterCounts:
    """match_centers, counted in one region."""
    seen = tuple(visible)
    matches = match_centers(predicted, scores, truth, seen, max_distance_m)
    return counts_in_region(predicted, matches, truth, seen, region)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
