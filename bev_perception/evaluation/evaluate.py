# SPDX-License-Identifier: Apache-2.0
"""``bev evaluate``: outputs against labels, along the path that users run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from bev_perception.bags import BagReader
from bev_perception.datasets.targets import TargetSettings, is_visible, make_targets
from bev_perception.errors import BagError, BevError
from bev_perception.evaluation.center_matching import CenterCounts, center_matches
from bev_perception.evaluation.grid_iou import GridIou
from bev_perception.evaluation.regions import DEFAULT_REGIONS, Region
from bev_perception.geometry import BevGrid, BevOutput, ObjectBox
from bev_perception.geometry.rig_file import RigFile
from bev_perception.inference import Engine
from bev_perception.perception import Pipeline, PipelineSettings, Synchronizer, frame_sets


class Evaluator:
    """Collects outputs and labels of a split; see compute.

    IoU counts cells that are valid, whatever cameras see them. Where a region reaches beyond
    the output's grid, cells outside it count as predicted free, so a smaller grid gains nothing.

    Args:
        targets: which vehicles count.
        regions: where to judge.
        threshold: a cell is predicted occupied when its probability exceeds this.
        max_distance_m: largest distance between matching centres, metres.
    """

    def __init__(
        self,
        targets: TargetSettings | None = None,
        regions: Sequence[Region] = DEFAULT_REGIONS,
        threshold: float = 0.5,
        max_distance_m: float = 1.5,
    ) -> None:
        self._targets = targets or TargetSettings()
        self._regions = tuple(regions)
        self._threshold = threshold
        self._max_distance_m = max_distance_m
        self._grid: BevGrid | None = None
        self._wide: BevGrid | None = None
        self._iou: GridIou | None = None
        self._centers: dict[str, CenterCounts] = defaultdict(CenterCounts)
        self._timings: dict[str, list[float]] = defaultdict(list)
        self._num_sets = 0

    def update(self, output: BevOutput, objects: Iterable[ObjectBox]) -> None:
        """Judges one output.

        Args:
            output: arrays and objects in levelled base_link.
            objects: labels of that moment in levelled base_link.

        Raises:
            BevError: the grid is another one than before.
        """
        wide, iou = self._prepared_for(output.grid)
        vehicles = [box for box in objects if box.is_vehicle]
        truth = make_targets(vehicles, wide, self._targets)
        probability = _embedded(output.probability, output.grid, wide)
        iou.update(
            torch.from_numpy(probability),
            torch.from_numpy(truth.segmentation),
            torch.from_numpy(truth.valid),
        )
        visible = [is_visible(box, self._targets.min_visibility) for box in vehicles]
        found = list(output.objects)
        for region in self._regions:
            self._centers[region.name] += center_matches(
                _centers(found),
                [box.score for box in found],
                _centers(vehicles),
                visible,
                region,
                self._max_distance_m,
            )
        for stage, duration in output.timings_ms.items():
            self._timings[stage].append(duration)
        self._num_sets += 1

    def compute(self) -> dict[str, Any]:
        """Plain values for JSON.

        Returns:
            ``sets``; ``iou`` by region; ``center_precision``, ``center_recall`` and
            ``center_counts`` by region; ``median_ms`` by stage. What cannot be known, such as
            the IoU where nothing was nor was predicted, is None.
        """
        iou = {} if self._iou is None else self._iou.compute()
        centers = self._centers
        return {
            "sets": self._num_sets,
            "iou": {name: _known(float(value)) for name, value in iou.items()},
            "center_precision": {name: _known(count.precision) for name, count in centers.items()},
            "center_recall": {name: _known(count.recall) for name, count in centers.items()},
            "center_counts": {
                name: {
                    "found": count.true_positives,
                    "invented": count.false_positives,
                    "missed": count.false_negatives,
                }
                for name, count in centers.items()
            },
            "median_ms": {
                stage: round(float(np.median(values)), 2) for stage, values in self._timings.items()
            },
        }

    def _prepared_for(self, grid: BevGrid) -> tuple[BevGrid, GridIou]:
        if self._wide is None or self._iou is None:
            reach = max(region.outer_m for region in self._regions)
            self._grid = grid
            self._wide = _widened(grid, reach)
            self._iou = GridIou(self._wide, self._regions, self._threshold)
        if grid != self._grid:
            raise BevError(
                f"outputs of two grids in one evaluation: {self._grid} and {grid}; evaluate "
                f"them apart"
            )
        return self._wide, self._iou


def evaluate_bag(
    bag: Path,
    engine: Engine,
    evaluator: Evaluator,
    rig_file: RigFile | None = None,
    settings: PipelineSettings | None = None,
    stride: int = 1,
) -> int:
    """Runs the pipeline over a bag and judges every labelled set.

    Args:
        bag: the bag.
        engine: the network.
        evaluator: collects; use one for a whole split.
        rig_file: for bags that need one.
        settings: of the pipeline; default PipelineSettings().
        stride: judge every stride-th set.

    Returns:
        The number of sets judged.

    Raises:
        BagError: the bag cannot be read, or none of its sets is labelled.
    """
    judged = 0
    with BagReader(bag, rig_file) as reader:
        rig = reader.rig()
        pipeline = Pipeline(engine, rig, settings or PipelineSettings())
        for number, frame_set in enumerate(frame_sets(reader, Synchronizer(rig.names))):
            objects = reader.objects(frame_set.stamp_ns) if number % stride == 0 else None
            if objects is None:
                continue
            output = pipeline.process(frame_set)
            evaluator.update(output, [box.transformed(output.level_T_base) for box in objects])
            judged += 1
    if not judged:
        raise BagError(
            f"{bag} has no camera set with labels within its time; evaluation needs objects as "
            f"MarkerArray, Detection3DArray or ObjectArray beside the images"
        )
    return judged


def evaluate_bags(
    bags: Sequence[Path],
    engine: Engine,
    targets: TargetSettings | None = None,
    rig_file: RigFile | None = None,
    settings: PipelineSettings | None = None,
    stride: int = 1,
    show_progress: bool = True,
) -> dict[str, Any]:
    """The result of a split of bags, see Evaluator.compute, and the number of bags.

    Raises:
        BagError: a bag cannot be read or has no labelled set.
    """
    settings = settings or PipelineSettings()
    evaluator = Evaluator(targets, threshold=settings.occupancy_threshold)
    with tqdm(bags, desc="evaluate", unit="bag", disable=not show_progress) as bar:
        for bag in bar:
            evaluate_bag(bag, engine, evaluator, rig_file, settings, stride)
            iou = evaluator.compute()["iou"].get("within_25m")
            bar.set_postfix_str("" if iou is None else f"IoU within 25 m {iou:.3f}")
    return {"bags": len(bags), **evaluator.compute()}


def _widened(grid: BevGrid, reach_m: float) -> BevGrid:
    """The grid continued by whole cells until it covers +-reach_m."""
    size = grid.resolution
    below_x = max(0, int(np.ceil((grid.x_min + reach_m) / size - 1e-9)))
    below_y = max(0, int(np.ceil((grid.y_min + reach_m) / size - 1e-9)))
    above_x = max(0, int(np.ceil((reach_m - grid.x_max) / size - 1e-9)))
    above_y = max(0, int(np.ceil((reach_m - grid.y_max) / size - 1e-9)))
    return BevGrid(
        grid.x_min - below_x * size,
        grid.y_min - below_y * size,
        size,
        grid.num_x + below_x + above_x,
        grid.num_y + below_y + above_y,
    )


def _embedded(
    probability: NDArray[np.float32], grid: BevGrid, wide: BevGrid
) -> NDArray[np.float32]:
    row = round((grid.y_min - wide.y_min) / grid.resolution)
    column = round((grid.x_min - wide.x_min) / grid.resolution)
    embedded = np.zeros(wide.shape, dtype=np.float32)
    embedded[row : row + grid.num_y, column : column + grid.num_x] = probability
    return embedded


def _centers(boxes: Sequence[ObjectBox]) -> NDArray[np.float64]:
    return np.array([box.center[:2] for box in boxes]).reshape(-1, 2)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)
