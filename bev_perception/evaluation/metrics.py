# SPDX-License-Identifier: Apache-2.0
"""How good an answer is: intersection over union by region, and centres found.

IoU is pooled: intersections and unions are summed over the whole split before dividing, as
published figures are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from torch import Tensor
from torchmetrics import Metric

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import BevGrid


@dataclass(frozen=True)
class Region:
    """A part of the plane around base_link, judged at points.

    Attributes:
        name: key in results.
        kind: "box" (max of |x| and |y|) or "ring" (distance).
        inner_m, outer_m: bounds in metres, inner included, outer excluded.
    """

    name: str
    kind: str
    inner_m: float
    outer_m: float

    def __post_init__(self) -> None:
        if self.kind not in ("box", "ring") or not 0 <= self.inner_m < self.outer_m:
            raise ConfigurationError(
                f"region {self.name!r}: kind must be box or ring with 0 <= inner < outer, got "
                f"{self.kind!r}, {self.inner_m} to {self.outer_m} m"
            )

    def contains(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Whether points (..., 2) in metres of base_link lie in the region."""
        values = np.asarray(points, dtype=np.float64)
        if self.kind == "box":
            measure = np.abs(values).max(axis=-1)
        else:
            measure = np.linalg.norm(values, axis=-1)
        return (measure >= self.inner_m) & (measure < self.outer_m)


DEFAULT_REGIONS = (
    Region("within_25m", "box", 0.0, 25.0),
    Region("within_50m", "box", 0.0, 50.0),
    Region("ring_0_10m", "ring", 0.0, 10.0),
    Region("ring_10_20m", "ring", 10.0, 20.0),
    Region("ring_20_25m", "ring", 20.0, 25.0),
)
"""What every evaluation reports."""


class GridIou(Metric):
    """Pooled IoU per region over a split.

    Args:
        grid: where the masks lie.
        regions: what to report.
        threshold: a cell is predicted occupied when its probability exceeds this.
    """

    full_state_update = False
    masks: Tensor
    intersection: Tensor
    union: Tensor

    def __init__(
        self,
        grid: BevGrid,
        regions: Sequence[Region] = DEFAULT_REGIONS,
        threshold: float = 0.5,
    ) -> None:
        super().__init__()
        self.regions = tuple(regions)
        self.threshold = threshold
        masks = np.stack([region.contains(grid.cell_centers) for region in self.regions])
        self.register_buffer("masks", torch.from_numpy(masks), persistent=False)
        zeros = torch.zeros(len(self.regions), dtype=torch.int64)
        self.add_state("intersection", zeros.clone(), dist_reduce_fx="sum")
        self.add_state("union", zeros.clone(), dist_reduce_fx="sum")

    def update(self, probability: Tensor, segmentation: Tensor, valid: Tensor) -> None:
        """Counts cells of (..., Y, X) probabilities against truth, where valid is true."""
        shape = probability.shape[-2:]
        counted = valid.reshape(-1, *shape) > 0.5
        predicted = (probability.reshape(-1, *shape) > self.threshold) & counted
        truth = (segmentation.reshape(-1, *shape) > 0.5) & counted
        both = (predicted & truth).sum(dim=0)
        either = (predicted | truth).sum(dim=0)
        self.intersection += (both * self.masks).sum(dim=(1, 2))
        self.union += (either * self.masks).sum(dim=(1, 2))

    def compute(self) -> dict[str, Tensor]:
        """IoU by region's name, 0 to 1; NaN where neither truth nor prediction has a cell."""
        iou = self.intersection.double() / self.union.double()
        return {region.name: value for region, value in zip(self.regions, iou)}


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


def center_matches(
    predicted: ArrayLike,
    scores: ArrayLike,
    truth: ArrayLike,
    visible: Iterable[bool],
    region: Region,
    max_distance_m: float = 1.5,
) -> CenterCounts:
    """Matches predicted to true centres, best score first, each to its nearest free one.

    True objects that are not visible are neither missed nor hit, and predictions nearest to
    them are not counted. Matching knows no border: the region decides afterwards, by the true
    centre where there is one, so an object at the edge is not counted twice.

    Args:
        predicted: (P, 2) metres.
        scores: (P,) confidence.
        truth: (T, 2) metres, all annotated vehicles.
        visible: (T,) which of them count.
        region: where to count.
        max_distance_m: largest distance of a match, metres, included.
    """
    found = np.asarray(predicted, dtype=np.float64).reshape(-1, 2)
    centers = np.asarray(truth, dtype=np.float64).reshape(-1, 2)
    counts_as = np.fromiter(visible, dtype=bool, count=len(centers))
    in_region = region.contains(centers)
    distances = cdist(found, centers)
    matched = np.zeros(len(centers), dtype=bool)
    false_positives = 0
    for index in np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable"):
        free = np.flatnonzero((distances[index] <= max_distance_m) & ~matched)
        if len(free):
            nearest = free[np.argmin(distances[index, free])]
            matched[nearest] = counts_as[nearest]  # one that does not count stays free for others
        elif region.contains(found[index]):
            false_positives += 1
    wanted = counts_as & in_region
    hits = int((matched & wanted).sum())
    return CenterCounts(hits, false_positives, int(wanted.sum()) - hits)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
