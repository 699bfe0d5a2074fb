# SPDX-License-Identifier: Apache-2.0
"""``bev evaluate``: outputs against labels, along the path that users run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bev_perception.datasets.drives import open_drive
from bev_perception.datasets.labelled_set import LabelledDrive
from bev_perception.datasets.targets import TargetSettings
from bev_perception.errors import BagError
from bev_perception.evaluation.answers import EngineRespondent, Respondent
from bev_perception.evaluation.evaluator import Evaluator
from bev_perception.evaluation.frame_scores import FrameScore
from bev_perception.evaluation.points_count import PointsCount
from bev_perception.geometry.rig_file import RigFile
from bev_perception.inference import Engine
from bev_perception.perception import PipelineSettings


@dataclass(frozen=True)
class Evaluation:
    """What was found out about a split.

    Attributes:
        metrics: of Evaluator.compute, the number of ``bags`` and, of networks that take points,
            ``without_points``: the ``sensor`` and how many ``sets`` had none of it.
        frames: every judged moment, in order.
    """

    metrics: dict[str, Any]
    frames: tuple[FrameScore, ...]


def judge_drive(
    drive: LabelledDrive,
    source: str,
    respondent: Respondent,
    evaluator: Evaluator,
    stride: int = 1,
    points: PointsCount | None = None,
) -> list[FrameScore]:
    """Judges every stride-th labelled set of a drive.

    Args:
        drive: images and labels.
        source: path that it was read from.
        respondent: says what is there.
        evaluator: collects; use one for a whole split.
        stride: judge every stride-th set.
        points: counts judged sets without points.

    Raises:
        BagError: the drive cannot be read, or none of its sets could be judged.
    """
    scores = []
    evaluator.begin_drive()
    sets = drive.sets(stride, points_of=respondent.points_of)
    if points is not None:
        sets = points.watched(sets)
    for labelled, output in respondent.answers(drive, sets):
        truth = [box.transformed(output.level_T_base) for box in labelled.objects]
        confusion = evaluator.update(output, truth)
        stamp_ns = labelled.frame_set.stamp_ns
        scores.append(FrameScore.of(source, drive.name, stamp_ns, confusion))
    if not scores:
        raise BagError(
            f"{source} has no camera set with labels within its time; evaluation needs objects as "
            f"MarkerArray, Detection3DArray or ObjectArray beside the images, and with --recorded "
            f"outputs of the same stamps"
        )
    return scores


def evaluate(
    bags: Sequence[Path],
    respondent: Respondent,
    targets: TargetSettings | None = None,
    rig_file: RigFile | None = None,
    stride: int = 1,
    show_progress: bool = True,
) -> Evaluation:
    """Judges a split of bags, by default on the classes that the respondent looks for.

    Raises:
        BagError: a bag cannot be read or has no set that could be judged.
    """
    settings = respondent.settings
    targets = targets or TargetSettings(classes=respondent.classes)
    evaluator = Evaluator(targets, threshold=settings.occupancy_threshold, settings=settings)
    frames: list[FrameScore] = []
    points = PointsCount(respondent.points_of)
    with tqdm(bags, desc="evaluate", unit="bag", disable=not show_progress) as bar:
        for bag in bar:
            with open_drive(bag, rig_file) as drive:
                frames += judge_drive(drive, str(bag), respondent, evaluator, stride, points)
            iou = evaluator.near_iou
            bar.set_postfix_str("" if iou is None else f"IoU within 25 m {iou:.3f}")
    metrics = {"bags": len(bags), **points.metrics(), **evaluator.compute()}
    return Evaluation(metrics, tuple(frames))


def evaluate_bags(
    bags: Sequence[Path],
    engine: Engine,
    targets: TargetSettings | None = None,
    rig_file: RigFile | None = None,
    settings: PipelineSettings | None = None,
    stride: int = 1,
    show_progress: bool = True,
) -> dict[str, Any]:
    """The metrics of a network over a split of bags, see Evaluation.

    Raises:
        BagError: a bag cannot be read or has no labelled set.
    """
    respondent = EngineRespondent(engine, settings)
    return evaluate(bags, respondent, targets, rig_file, stride, show_progress).metrics
