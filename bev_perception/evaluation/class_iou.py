# SPDX-License-Identifier: Apache-2.0
"""IoU of each class that a network tells apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.datasets.targets import Targets
from bev_perception.evaluation.grid_iou import GridIou
from bev_perception.evaluation.regions import Region
from bev_perception.evaluation.wide_grid import embedded
from bev_perception.geometry import BevGrid
from bev_perception.geometry.class_map import ClassMap


class ClassIou:
    """Counts the cells of every class apart; nothing for networks of one class.

    A cell is predicted to be of a class when that class' own probability exceeds the threshold.
    As for IoU of all classes together, hidden objects and what stands in their footprints cost
    nothing.

    Args:
        grid: where cells are judged.
        regions: where to judge.
        threshold: of probability.
        classes: of the truth, groups of geometry.class_sets.
    """

    def __init__(
        self, grid: BevGrid, regions: Sequence[Region], threshold: float, classes: Sequence[str]
    ) -> None:
        self._grid, self._classes = grid, tuple(classes)
        self._counted = {name: GridIou(grid, regions, threshold) for name in classes}
        self._sets = 0

    def update(self, said: ClassMap | None, grid: BevGrid, truth: Targets) -> None:
        """Counts one answer on a grid; one that tells no classes, or others, is passed over."""
        if said is None or tuple(said.classes) != self._classes:
            return
        self._sets += 1
        valid = torch.from_numpy(truth.valid)
        for number, counted in enumerate(self._counted.values()):
            counted.update(
                self._placed(said.probability[number], grid),
                torch.from_numpy(truth.classes[number]),
                valid,
            )

    def compute(self) -> dict[str, dict[str, Tensor]]:
        """By class and region; empty where no answer told these classes."""
        if not self._sets:
            return {}
        return {name: counted.compute() for name, counted in self._counted.items()}

    def _placed(self, values: NDArray[np.float32], grid: BevGrid) -> Tensor:
        return torch.from_numpy(embedded(values, grid, self._grid))
