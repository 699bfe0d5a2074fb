# SPDX-License-Identifier: Apache-2.0
"""One bag to the shards of one drive: judged, then written, complete or not at all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.bags.recorded_bag import RecordedBag
from bev_perception.datasets.box_counts import counts_to_dict
from bev_perception.datasets.drive_copy import expected_bytes, stored_sets
from bev_perception.datasets.drive_preview import PREVIEW_NAME, draw_preview
from bev_perception.datasets.drive_survey import DriveSurvey, survey_drive
from bev_perception.datasets.outline_evidence import MOMENTS, OutlineEvidence
from bev_perception.datasets.planned_set import PlannedSet
from bev_perception.datasets.shard_settings import ShardSettings
from bev_perception.datasets.shard_writer import ShardWriter, room_for, unwritable
from bev_perception.datasets.text_spool import TextSpool
from bev_perception.errors import BagError, BevError, ResourceError
from bev_perception.geometry import CameraFrame, FrameSet
from bev_perception.geometry.rig_file import load_rig_file
from bev_perception.visualization import encode_image

REFUSED, FAIR, GOOD = "refused", "fair", "good"


@dataclass(frozen=True)
class DriveJob:
    """One bag to extract.

    Attributes:
        bag: path of the bag.
        name: of the drive.
        place: folder of its shards.
        key: changes with whatever would give other shards; kept in drive.json.
        settings: see ShardSettings.
        facts: what is known of the drive beside the bag, such as town and weather.
        threads: that encode raw images.
    """

    bag: Path
    name: str
    place: Path
    key: str
    settings: ShardSettings
    facts: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1


def extract_drive(job: DriveJob) -> None:
    """Judges a bag, then writes what is fit; a bag of which nothing is fit gets a verdict only.

    Raises:
        DatasetError: the disk is full or cannot be written.
        ResourceError: the machine ran out of what it takes to read the bag.
    """
    job.place.parent.mkdir(parents=True, exist_ok=True)
    settings = job.settings
    rig_file = None if settings.rig_file is None else load_rig_file(settings.rig_file)
    with TextSpool(job.place.parent) as spool:
        try:
            bag = RecordedBag(job.bag, rig_file)
        except ResourceError:
            raise
        except BevError as error:
            _write_refusal(job, str(error))
            return
        with bag:
            try:
                survey = survey_drive(bag, settings, spool)
            except ResourceError:
                raise
            except BevError as error:
                _write_refusal(job, str(error))
                return
            except OSError as error:
                raise unwritable(job.place, error) from error
            try:
                _write(job, bag, survey, spool)
            except BagError as error:  # only decoding tells
                _write_refusal(job, str(error))


def _write(job: DriveJob, bag: RecordedBag, survey: DriveSurvey, spool: TextSpool) -> None:
    _look(bag, survey)
    room_for(expected_bytes(bag, survey, job.settings, spool), job.place)
    rig = survey.rig if survey.kept else None
    shard_bytes = int(job.settings.shard_mb * 1e6)
    with ShardWriter(job.place, job.name, job.bag.name, rig, shard_bytes) as writer:
        for stored in stored_sets(bag, survey, job.settings, spool, job.threads):
            writer.add(stored)
        preview = _preview(job, bag, survey)
        if preview is not None:
            writer.add_file(PREVIEW_NAME, encode_image(preview))
        writer.description.update(_description(job, survey, bag.storage))


def _write_refusal(job: DriveJob, reason: str) -> None:
    reason = reason.removeprefix(f"{job.bag}: ")
    with ShardWriter(job.place, job.name, job.bag.name, None) as writer:
        writer.description.update(
            {**_origin(job, ""), "verdict": REFUSED, "reason": reason, "seen": 0, "cuts": [],
             "notes": []}
        )  # fmt: skip


def _description(job: DriveJob, survey: DriveSurvey, storage: str) -> dict[str, Any]:
    stamps = [planned.stamp_ns for planned, _ in survey.kept]
    share = survey.share_in_view
    return {
        **_origin(job, storage),
        **_verdict(survey),
        "seen": survey.seen,
        "standing": survey.standing_sets,
        "first_stamp_ns": stamps[0] if stamps else None,
        "last_stamp_ns": stamps[-1] if stamps else None,
        "segments": survey.kept[-1][1] + 1 if survey.kept else 0,
        "images": sum(len(planned.images) for planned, _ in survey.kept),
        "distance_m": round(survey.distance_m, 1),
        "boxes_in_view": None if math.isnan(share) else round(share, 4),
        "cuts": [cut.to_dict(survey.start_ns) for cut in survey.cuts],
        "notes": survey.notes,
        "boxes": counts_to_dict(survey.counts),
    }


def _origin(job: DriveJob, storage: str) -> dict[str, Any]:
    return {"key": job.key, "storage": storage, "facts": dict(job.facts)}


def _verdict(survey: DriveSurvey) -> dict[str, str]:
    """In a word, and what makes it so."""
    bad, left = survey.bad_sets, len(survey.kept)
    causes = dict.fromkeys(cut.cause for cut in survey.cuts if cut.cause != "standing")
    why = ", ".join(causes)
    if not left:
        first = next((cut.detail for cut in survey.cuts if cut.cause == next(iter(causes))), "")
        return {"verdict": REFUSED, "reason": f"no set is fit: {why}{first and f' ({first})'}"}
    if not bad:
        reason = f"{sum(cut.cause == 'gap' for cut in survey.cuts)} gaps" if causes else ""
        return {"verdict": FAIR if survey.notes or causes else GOOD, "reason": reason}
    return {"verdict": "cut", "reason": f"{bad} of {survey.seen} sets cut out: {why}"}


def _look(bag: RecordedBag, survey: DriveSurvey) -> None:
    """Notes what images of some sets, spread over the drive, say about the boxes."""
    evidence = OutlineEvidence()
    count = min(MOMENTS, len(survey.kept))
    for place in np.linspace(0, len(survey.kept) - 1, count).round().astype(int):
        chosen = survey.kept[place][0]
        boxes = bag.object_arrays(chosen.stamp_ns)
        if boxes is not None:
            frames = _frames(bag, chosen)
            evidence.add({name: f.image for name, f in frames.items()}, survey.rig, boxes)
    if evidence.note():
        survey.notes.append(evidence.note())


def _preview(job: DriveJob, bag: RecordedBag, survey: DriveSurvey) -> NDArray[np.uint8] | None:
    """Of a suspect set where there is one, else of the middle one."""
    chosen = survey.suspect
    if chosen is None and survey.kept:
        chosen = survey.kept[len(survey.kept) // 2][0]
    if chosen is None:
        return None
    frame_set = FrameSet(chosen.stamp_ns, _frames(bag, chosen), (), chosen.world_T_base)
    boxes = bag.objects(chosen.stamp_ns) or ()
    return draw_preview(frame_set, survey.rig, boxes, job.settings.min_visibility)


def _frames(bag: RecordedBag, chosen: PlannedSet) -> dict[str, CameraFrame]:
    """The images of a set, decoded."""
    wanted = {(name, note.stamp_ns, note.log_ns) for name, note in chosen.images.items()}
    times = [log_ns for _, _, log_ns in wanted]
    return {
        image.topics.name: CameraFrame(image.topics.name, image.stamp_ns, bag.decoded(image))
        for image in bag.recorded_images(min(times), max(times) + 1)
        if (image.topics.name, image.stamp_ns, image.log_ns) in wanted
    }
