# SPDX-License-Identifier: Apache-2.0
"""How much of its IoU a network keeps when something about the rig is wrong.

Of lost cameras also whether probabilities stay true, see Kept.

Every number is pooled over the same moments, with and without the perturbation, on the same cells
within +-25 m: all of them, or for a lost camera those that the other cameras see. So the network
is not blamed for what nobody looks at. Vehicles count as labelled with all cameras.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bev_perception.datasets.drives import open_drive
from bev_perception.datasets.labelled_set import LabelledSet
from bev_perception.datasets.targets import TargetSettings, make_targets
from bev_perception.evaluation.kept import Kept
from bev_perception.evaluation.overlap import Overlap, overlap
from bev_perception.evaluation.perturbations import (
    Perturbation,
    taken_images,
    told_rig,
    usual_perturbations,
)
from bev_perception.evaluation.regions import NEAR
from bev_perception.evaluation.results import known
from bev_perception.geometry import Rig
from bev_perception.geometry.rig_file import RigFile
from bev_perception.inference import Engine
from bev_perception.perception import Pipeline, PipelineSettings
from bev_perception.perception.calibration import Calibration


class Retention:
    """Puts the same moments to a network under many perturbations.

    Args:
        engine: the network.
        settings: of the pipeline; default PipelineSettings().
        targets: which vehicles count.
    """

    def __init__(
        self,
        engine: Engine,
        settings: PipelineSettings | None = None,
        targets: TargetSettings | None = None,
    ) -> None:
        self._engine = engine
        self._settings = settings or PipelineSettings()
        self._targets = targets or TargetSettings(classes=engine.config.classes)
        self._kept: dict[Perturbation, Kept] = {}
        self._whole = Overlap()
        self._num_sets = 0

    def update(
        self, rig: Rig, sets: Iterable[LabelledSet], perturbations: Sequence[Perturbation]
    ) -> None:
        """All sets of a drive; each is decoded once."""
        pipeline = Pipeline(self._engine, rig, self._settings)
        usual = pipeline.calibration
        # One table each: with several, tables of a rocking vehicle would fill the memory.
        told = {
            change: usual
            if change.kind == "lost"
            else Calibration(told_rig(rig, change), self._engine.config, limit_bytes=0)
            for change in perturbations
        }
        for labelled in sets:
            pipeline.calibration = usual
            self._judge(pipeline, labelled, told)

    def compute(self) -> dict[str, Any]:
        """Plain values: ``sets``, ``region``, ``iou`` and by perturbation see Kept."""
        return {
            "sets": self._num_sets,
            "region": NEAR.name,
            "iou": known(self._whole.iou),
            "perturbations": [
                {"name": change.name, "kind": change.kind, **kept.to_dict()}
                for change, kept in self._kept.items()
            ],
        }

    def _judge(
        self,
        pipeline: Pipeline,
        labelled: LabelledSet,
        told: dict[Perturbation, Calibration],
    ) -> None:
        frame_set, rig = labelled.frame_set, pipeline.rig
        threshold = self._settings.occupancy_threshold
        output = pipeline.process(frame_set)
        boxes = [box.transformed(output.level_T_base) for box in labelled.objects]
        truth = make_targets(boxes, output.grid, self._targets)
        counted = truth.valid & NEAR.contains(output.grid.cell_centers)
        before = output.probability > threshold
        self._whole += overlap(before, truth.segmentation, counted)
        self._num_sets += 1
        for change, calibration in told.items():
            if not set(change.cameras) <= frame_set.frames.keys():
                continue
            pipeline.calibration = calibration
            changed = pipeline.process(taken_images(frame_set, rig, change))
            cells = counted & ~changed.unknown if change.kind == "lost" else counted
            kept = self._kept.setdefault(change, Kept())
            kept.baseline += overlap(before, truth.segmentation, cells)
            after = changed.probability > threshold
            kept.perturbed += overlap(after, truth.segmentation, cells)
            if change.kind == "lost":
                kept.add_probabilities(output, changed, truth)


def measure_retention(
    bags: Sequence[Path],
    engine: Engine,
    targets: TargetSettings | None = None,
    rig_file: RigFile | None = None,
    settings: PipelineSettings | None = None,
    stride: int = 1,
    show_progress: bool = True,
    perturbations: Callable[[Sequence[str]], Sequence[Perturbation]] = usual_perturbations,
) -> dict[str, Any]:
    """Retention over a split of bags, see Retention.compute.

    Args:
        perturbations: of a rig's cameras.

    Raises:
        BagError: a bag cannot be read.
    """
    retention = Retention(engine, settings, targets)
    for bag in tqdm(bags, desc="retention", unit="bag", disable=not show_progress):
        with open_drive(bag, rig_file) as drive:
            sets = drive.sets(stride, points_of=engine.config.sensor)
            retention.update(drive.rig, sets, perturbations(drive.rig.names))
    return retention.compute()


def with_other_rig(
    retention: dict[str, Any],
    name: str,
    bags: Sequence[Path],
    engine: Engine,
    stride: int = 1,
    targets: TargetSettings | None = None,
    show_progress: bool = True,
) -> dict[str, Any]:
    """Adds drives that were recorded with another rig, known to the network.

    What is kept compares different images of, if it shall mean anything, the same drives: towns
    of the same numbers, for example.

    Args:
        retention: of measure_retention over the drives with the usual rig.
        name: of the change, for people.
        bags: the drives with the other rig, which they tell themselves.
    """
    other = Retention(engine, None, targets)
    for bag in tqdm(bags, desc=name, unit="bag", disable=not show_progress):
        with open_drive(bag) as drive:
            sets = drive.sets(stride, points_of=engine.config.sensor)
            other.update(drive.rig, sets, ())
    before, after = retention["iou"], other.compute()["iou"]
    kept = known(after / before) if before and after is not None else None
    entry = {"name": f"{name}, recorded", "kind": "recorded", "iou_before": before, "iou": after}
    perturbations = [*retention["perturbations"], entry | {"retained": kept}]
    return retention | {"perturbations": perturbations}
