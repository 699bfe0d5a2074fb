# SPDX-License-Identifier: Apache-2.0
"""How much of its IoU a network keeps when something about the rig is wrong.

Of lost cameras also whether probabilities stay true, see Kept.

Every number is pooled over the same moments, with and without the perturbation, on the same cells
within +-25 m: all of them, or for a lost camera those that the other cameras see. So the network
is not blamed for what nobody looks at. Vehicles count as labelled with all cameras.

A network with memory meets each perturbation in a stream of its own: what it remembers of the
seconds before a judged moment was seen under the same perturbation.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bev_perception.datasets.drives import open_drive
from bev_perception.datasets.labelled_set import LabelledDrive, LabelledSet
from bev_perception.datasets.targets import TargetSettings, make_targets
from bev_perception.errors import BagError
from bev_perception.evaluation.kept import Kept
from bev_perception.evaluation.overlap import Overlap, overlap
from bev_perception.evaluation.perturbations import (
    Perturbation,
    taken_set,
    told_rig,
    usual_perturbations,
)
from bev_perception.evaluation.regions import NEAR
from bev_perception.evaluation.results import known
from bev_perception.geometry import BevOutput, FrameSet, Rig
from bev_perception.geometry.rig_file import RigFile
from bev_perception.inference import Engine
from bev_perception.perception import Pipeline, PipelineSettings
from bev_perception.perception.calibration import Calibration
from bev_perception.perception.stream_memory import StreamMemory

HISTORY_NS = 2_000_000_000
"""A network with memory is shown the sets of so long before each moment that is judged."""


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
        self,
        rig: Rig,
        sets: Iterable[LabelledSet],
        perturbations: Sequence[Perturbation],
        stride: int = 1,
    ) -> None:
        """A drive, set after set; each is decoded once.

        Args:
            stride: of so many sets the last one is judged; those of HISTORY_NS before it are
                shown without being judged.
        """
        streams = _Streams(self._engine, self._settings, rig, perturbations)
        history: deque[LabelledSet] = deque()
        for number, labelled in enumerate(sets, start=1):
            oldest = labelled.frame_set.stamp_ns - HISTORY_NS
            if history and history[0].frame_set.stamp_ns < oldest:
                streams.forget()
            while history and history[0].frame_set.stamp_ns < oldest:
                history.popleft()
            if number % stride:
                history.append(labelled)
                continue
            for shown in history:
                streams.show(shown)
            history.clear()
            self._judge(streams, labelled)

    def compute(self) -> dict[str, Any]:
        """Plain values: ``sets``, ``region``, ``iou`` and by perturbation see Kept.

        Raises:
            BagError: no set was judged.
        """
        if not self._num_sets:
            raise BagError(
                "no set was judged for retention: the bags have no camera set with labels within "
                "its time, or a network with memory met fewer of them than the stride in every "
                "bag; choose a smaller --retention-stride"
            )
        return {
            "sets": self._num_sets,
            "region": NEAR.name,
            "iou": known(self._whole.iou),
            "perturbations": [
                {"name": change.name, "kind": change.kind, **kept.to_dict()}
                for change, kept in self._kept.items()
            ],
        }

    def _judge(self, streams: _Streams, labelled: LabelledSet) -> None:
        threshold = self._settings.occupancy_threshold
        outputs = streams.show(labelled)
        output = outputs.pop(None)
        boxes = [box.transformed(output.level_T_base) for box in labelled.objects]
        truth = make_targets(boxes, output.grid, self._targets)
        counted = truth.valid & NEAR.contains(output.grid.cell_centers)
        before = output.probability > threshold
        self._whole += overlap(before, truth.segmentation, counted)
        self._num_sets += 1
        for change, changed in outputs.items():
            if change is None or not _can_lose(labelled.frame_set, change):
                continue
            cells = counted & ~changed.unknown if change.kind == "lost" else counted
            kept = self._kept.setdefault(change, Kept())
            kept.baseline += overlap(before, truth.segmentation, cells)
            after = changed.probability > threshold
            kept.perturbed += overlap(after, truth.segmentation, cells)
            if change.kind == "lost":
                kept.add_probabilities(output, changed, truth)


def _can_lose(frame_set: FrameSet, change: Perturbation) -> bool:
    """Whether what is lost was there."""
    if change.kind == "lost points":
        return frame_set.points is not None
    return set(change.cameras) <= frame_set.frames.keys()


class _Streams:
    """One pipeline per perturbation, and one under none, whose key is None."""

    def __init__(
        self,
        engine: Engine,
        settings: PipelineSettings,
        rig: Rig,
        perturbations: Sequence[Perturbation],
    ) -> None:
        self._config = engine.config
        self._pipelines: dict[Perturbation | None, Pipeline] = {
            change: Pipeline(engine, rig, settings) for change in (None, *perturbations)
        }
        self._tell(rig)

    def show(self, labelled: LabelledSet) -> dict[Perturbation | None, BevOutput]:
        """What each says of a moment; of one without a camera that is lost anyway, too."""
        rig = self._pipelines[None].rig
        if labelled.rig is not None and labelled.rig != rig:
            rig = labelled.rig
            self._tell(rig)
        frame_set = labelled.frame_set
        return {
            change: pipeline.process(
                frame_set if change is None else taken_set(frame_set, rig, change)
            )
            for change, pipeline in self._pipelines.items()
        }

    def forget(self) -> None:
        """What comes next is of another time."""
        for pipeline in self._pipelines.values():
            pipeline.memory = StreamMemory(self._config.memory)

    def _tell(self, rig: Rig) -> None:
        """Every pipeline its calibration."""
        usual = Calibration(rig, self._config)
        for change, pipeline in self._pipelines.items():
            if change is None or told_rig(rig, change) is rig:
                pipeline.calibration = usual
            else:
                # One table: with more, those of a rocking vehicle would fill the memory.
                told = told_rig(rig, change)
                pipeline.calibration = Calibration(told, self._config, limit_bytes=0)


def measure_retention(
    bags: Sequence[Path],
    engine: Engine,
    targets: TargetSettings | None = None,
    rig_file: RigFile | None = None,
    settings: PipelineSettings | None = None,
    stride: int = 1,
    show_progress: bool = True,
    perturbations: Callable[[Sequence[str]], Sequence[Perturbation]] | None = None,
) -> dict[str, Any]:
    """Retention over a split of bags, see Retention.compute.

    Args:
        stride: every so many labelled sets are judged, see Retention.update.
        perturbations: of a rig's cameras; default usual_perturbations.

    Raises:
        BagError: a bag cannot be read, or no set was judged.
    """
    if perturbations is None:
        perturbations = partial(usual_perturbations, sensor=engine.config.sensor)
    retention = Retention(engine, settings, targets)
    for bag in tqdm(bags, desc="retention", unit="bag", disable=not show_progress):
        with open_drive(bag, rig_file) as drive:
            _judge_drive(retention, engine, drive, stride, perturbations(drive.rig.names))
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

    Raises:
        BagError: as measure_retention.
    """
    other = Retention(engine, None, targets)
    for bag in tqdm(bags, desc=name, unit="bag", disable=not show_progress):
        with open_drive(bag) as drive:
            _judge_drive(other, engine, drive, stride, ())
    before, after = retention["iou"], other.compute()["iou"]
    kept = known(after / before) if before and after is not None else None
    entry = {"name": f"{name}, recorded", "kind": "recorded", "iou_before": before, "iou": after}
    perturbations = [*retention["perturbations"], entry | {"retained": kept}]
    return retention | {"perturbations": perturbations}


def _judge_drive(
    retention: Retention,
    engine: Engine,
    drive: LabelledDrive,
    stride: int,
    perturbations: Sequence[Perturbation],
) -> None:
    """Every stride-th set; those between are read for networks with memory alone."""
    passed_over, judged = (1, stride) if engine.config.memory.is_on else (stride, 1)
    sets = drive.sets(passed_over, points_of=engine.config.sensor)
    retention.update(drive.rig, sets, perturbations, judged)
