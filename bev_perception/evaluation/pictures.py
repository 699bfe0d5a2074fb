# SPDX-License-Identifier: Apache-2.0
"""Pictures of chosen moments of an evaluation, drawn from the drives once more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bev_perception.datasets.drives import open_drive
from bev_perception.datasets.labelled_set import LabelledDrive, LabelledSet
from bev_perception.evaluation.answers import Respondent
from bev_perception.evaluation.frame_scores import FrameScore
from bev_perception.geometry import BevOutput
from bev_perception.geometry.rig_file import RigFile
from bev_perception.visualization import comparison_picture, frame_picture

WIDTH = 1920


def draw_moments(
    moments: Iterable[FrameScore],
    respondents: Mapping[str, Respondent],
    rig_file: RigFile | None = None,
) -> dict[tuple[str, int], NDArray[np.uint8]]:
    """What the cameras saw, what the respondents say and the truth.

    Args:
        moments: of an evaluation.
        respondents: by name; with one alone its objects are drawn into the views, too.
        rig_file: for bags that need one.

    Returns:
        (H, W, 3) uint8 RGB by source and stamp; without those that a respondent has nothing on.

    Raises:
        BagError: a bag cannot be read any more.
    """
    wanted: dict[str, set[int]] = defaultdict(set)
    for moment in moments:
        wanted[moment.source].add(moment.stamp_ns)
    pictures = {}
    for source, stamps in wanted.items():
        with open_drive(Path(source), rig_file) as drive:
            remembered = _remembered(drive, respondents, stamps)
            sensors = {respondent.points_of for respondent in respondents.values()} - {"none"}
            # Networks with different sensors are drawn with the points of one of them, the one
            # with most values.
            for labelled in drive.sets(points_of=max(sensors, default="none")):
                stamp_ns = labelled.frame_set.stamp_ns
                if stamp_ns in stamps:
                    stamps.discard(stamp_ns)
                    picture = _picture(drive, labelled, respondents, remembered)
                    if picture is not None:
                        pictures[source, stamp_ns] = picture
                if not stamps:
                    break
    return pictures


def _remembered(
    drive: LabelledDrive, respondents: Mapping[str, Respondent], stamps: Iterable[int]
) -> dict[tuple[str, int], BevOutput]:
    """What those say at some stamps who need all sets before, by name and stamp."""
    wanted, outputs = set(stamps), {}
    for name, respondent in respondents.items():
        if not respondent.remembers:
            continue
        sets = drive.sets(points_of=respondent.points_of)
        for labelled, output in respondent.answers(drive, sets):
            if labelled.frame_set.stamp_ns in wanted:
                outputs[name, labelled.frame_set.stamp_ns] = output
            if labelled.frame_set.stamp_ns >= max(wanted):
                break
    return outputs


def _picture(
    drive: LabelledDrive,
    labelled: LabelledSet,
    respondents: Mapping[str, Respondent],
    remembered: Mapping[tuple[str, int], BevOutput],
) -> NDArray[np.uint8] | None:
    outputs = {
        name: remembered[name, stamp_ns]
        for name, stamp_ns in remembered
        if stamp_ns == labelled.frame_set.stamp_ns
    }
    for name, respondent in respondents.items():
        if not respondent.remembers:
            answers = respondent.answers(drive, [labelled])
            outputs.update((name, output) for _, output in answers)
    if len(outputs) < len(respondents):
        return None
    rig = labelled.rig or drive.rig
    title = f"{drive.name}, {labelled.frame_set.stamp_ns / 1e9:.2f} s"
    if len(outputs) > 1:
        return comparison_picture(labelled.frame_set, rig, outputs, labelled.objects, WIDTH, title)
    output = next(iter(outputs.values()))
    return frame_picture(labelled.frame_set, rig, output, labelled.objects, WIDTH, title)
