# SPDX-License-Identifier: Apache-2.0
"""The one judge: outputs of a split against labels, whoever made them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bev_perception.datasets.targets import TargetSettings, is_visible, make_targets
from bev_perception.errors import BevError
from bev_perception.evaluation.average_precision import CenterPrecision
from bev_perception.evaluation.box_error import BoxErrors, box_errors
from bev_perception.evaluation.center_matching import (
    CenterCounts,
    center_matches,
    ground_centers,
)
from bev_perception.evaluation.class_iou import ClassIou
from bev_perception.evaluation.grid_iou import GridIou
from bev_perception.evaluation.instances import box_instances, output_instances
from bev_perception.evaluation.panoptic import PanopticCounts, panoptic_counts
from bev_perception.evaluation.probability_histogram import ProbabilityHistogram
from bev_perception.evaluation.regions import DEFAULT_REGIONS, MAIN_REGIONS, NEAR, Region
from bev_perception.evaluation.results import class_values, known, result_values
from bev_perception.evaluation.sequence_measures import SequenceMeasures
from bev_perception.evaluation.wide_grid import embedded, widened
from bev_perception.geometry import BevGrid, BevOutput, ObjectBox
from bev_perception.geometry.class_sets import class_index
from bev_perception.perception import PipelineSettings
from bev_perception.perception.objects import find_objects

LEAST_SCORE = 0.05
"""Centres from this value on take part in average precision."""


class Evaluator:
    """Collects outputs and labels of a split; see compute.

    IoU counts cells that are valid, whatever cameras see them. Where a region reaches beyond
    the output's grid, cells outside it count as predicted free, so a smaller grid gains nothing.
    Memory does not grow with the cells: they are counted in histograms.

    Args:
        targets: which objects count: by class, by default vehicles, and by visibility.
        regions: where to judge.
        threshold: a cell is predicted occupied when its probability exceeds this.
        max_distance_m: largest distance between matching centres, metres.
        settings: how objects were found in the outputs.
    """

    def __init__(
        self,
        targets: TargetSettings | None = None,
        regions: Sequence[Region] = DEFAULT_REGIONS,
        threshold: float = 0.5,
        max_distance_m: float = 1.5,
        settings: PipelineSettings | None = None,
    ) -> None:
        self._targets = targets or TargetSettings()
        self._regions = tuple(regions)
        self._threshold = threshold
        self._max_distance_m = max_distance_m
        self._settings = settings or PipelineSettings(occupancy_threshold=threshold)
        self._cells: _Cells | None = None
        self._centers: dict[str, CenterCounts] = defaultdict(CenterCounts)
        self._precision = CenterPrecision(MAIN_REGIONS)
        self._boxes: dict[str, BoxErrors] = defaultdict(BoxErrors)
        self._panoptic: dict[str, PanopticCounts] = defaultdict(PanopticCounts)
        self._timings: dict[str, list[float]] = defaultdict(list)
        self._num_sets = 0
        self._sequence = SequenceMeasures(self._targets.min_visibility, threshold, max_distance_m)

    def begin_drive(self) -> None:
        """Sets to come are another drive's: its objects were never seen before."""
        self._sequence.begin_drive()

    def update(
        self, output: BevOutput, objects: Iterable[ObjectBox]
    ) -> dict[str, NDArray[np.int64]]:
        """Judges one output.

        Args:
            output: arrays and objects in levelled base_link.
            objects: labels of that moment in levelled base_link.

        Returns:
            The confusion matrix (truth, prediction) of this output alone, by region.

        Raises:
            BevError: the grid is another one than before.
        """
        if self._cells is None:
            self._cells = _Cells(output.grid, self._regions, self._threshold, self._targets)
        classes = self._targets.classes
        wanted = [box for box in objects if class_index(box.label, classes) is not None]
        confusion = self._cells.update(output, wanted)
        self._count_centers(output, wanted)
        self._count_segments(self._cells, output, wanted)
        for stage, duration in output.timings_ms.items():
            self._timings[stage].append(duration)
        self._num_sets += 1
        return confusion

    @property
    def near_iou(self) -> float | None:
        """IoU within +-25 m so far, None where nothing was nor was predicted."""
        if self._cells is None or NEAR not in self._regions:
            return None
        return known(float(self._cells.seen_well.compute()[NEAR.name]))

    def compute(self) -> dict[str, Any]:
        """Plain values for JSON, see results.py. What cannot be known is None."""
        cells = self._cells or _Cells(
            BevGrid.centered(50.0, 0.5), self._regions, self._threshold, self._targets
        )
        return {
            "sets": self._num_sets,
            **class_values(cells.classes),
            **result_values(
                cells.seen_well,
                cells.all_vehicles,
                cells.probability,
                cells.known_probability,
                self._centers,
                self._precision.compute(),
                {region.name: self._boxes[region.name] for region in MAIN_REGIONS},
                self._panoptic,
            ),
            **self._sequence.compute(),
            "median_ms": {
                stage: round(float(np.median(values)), 2) for stage, values in self._timings.items()
            },
        }

    def _count_centers(self, output: BevOutput, objects: Sequence[ObjectBox]) -> None:
        visible = [is_visible(box, self._targets.min_visibility) for box in objects]
        truth = ground_centers(objects)
        for region in self._regions:
            self._centers[region.name] += center_matches(
                ground_centers(output.objects),
                [box.score for box in output.objects],
                truth,
                visible,
                region,
                self._max_distance_m,
            )
        for region in MAIN_REGIONS:
            self._boxes[region.name] += box_errors(output.objects, objects, visible, region)
        self._sequence.update(output, objects, visible)
        candidates = self._candidates(output)
        scores = [box.score for box in candidates]
        self._precision.update(ground_centers(candidates), scores, truth, visible)

    def _candidates(self, output: BevOutput) -> Sequence[ObjectBox]:
        """Objects down to low scores; as they were recorded where there is no centre map."""
        if not output.center.any():
            return output.objects
        least = min(LEAST_SCORE, self._settings.center_threshold)
        settings = replace(self._settings, center_threshold=least)
        maps = output.probability, output.center, output.offset
        return find_objects(output.grid, *maps, settings, output.class_map)

    def _count_segments(
        self, cells: _Cells, output: BevOutput, objects: Sequence[ObjectBox]
    ) -> None:
        truth = box_instances(objects, output.grid)
        predicted = output_instances(output, self._settings)
        visible = [is_visible(box, self._targets.min_visibility) for box in objects]
        counted = np.array([*visible, True])[truth]  # the last one for cells of nobody, -1
        for region in MAIN_REGIONS:
            inside = counted & cells.inside[region.name]
            self._panoptic[region.name] += panoptic_counts(predicted, truth, inside)


class _Cells:
    """What is counted cell by cell, on one grid."""

    def __init__(
        self,
        grid: BevGrid,
        regions: Sequence[Region],
        threshold: float,
        targets: TargetSettings,
    ) -> None:
        self._grid, self._targets = grid, targets
        self._wide = widened(grid, max(region.outer_m for region in regions))
        self._near = torch.from_numpy(NEAR.contains(self._wide.cell_centers))
        self.inside = {region.name: region.contains(grid.cell_centers) for region in MAIN_REGIONS}
        self.seen_well = GridIou(self._wide, regions, threshold)
        self.all_vehicles = GridIou(self._wide, regions, threshold)
        self.classes = ClassIou(self._wide, regions, threshold, targets.classes)
        self.probability = ProbabilityHistogram()
        self.known_probability = ProbabilityHistogram()

    def update(
        self, output: BevOutput, objects: Sequence[ObjectBox]
    ) -> dict[str, NDArray[np.int64]]:
        if output.grid != self._grid:
            raise BevError(
                f"outputs of two grids in one evaluation: {self._grid} and {output.grid}; "
                f"evaluate them apart"
            )
        targets = make_targets(objects, self._wide, self._targets)
        probability = torch.from_numpy(embedded(output.probability, output.grid, self._wide))
        truth, valid = torch.from_numpy(targets.segmentation), torch.from_numpy(targets.valid)
        seen = torch.from_numpy(embedded(~output.unknown, output.grid, self._wide))
        before = self.seen_well.matrices()
        self.seen_well.update(probability, truth, valid)
        self.all_vehicles.update(probability, truth, torch.ones_like(valid))
        self.classes.update(output.class_map, output.grid, targets)
        self.probability.update(probability, truth, valid & self._near)
        self.known_probability.update(probability, truth, valid & seen)
        after = self.seen_well.matrices()
        return {name: matrix - before[name] for name, matrix in after.items()}
