# SPDX-License-Identifier: Apache-2.0
"""Judges a bag before anything of it is written: which sets are fit, and why others are not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bev_perception.bags.recorded_bag import RecordedBag
from bev_perception.datasets.box_counts import count_boxes, no_boxes
from bev_perception.datasets.box_evidence import (
    MIN_BOXES,
    MIN_SHARE,
    boxes_in_view,
    ground_note,
    impossible_value,
    vehicle_bottoms,
)
from bev_perception.datasets.cuts import Cut, cut_spans, gaps
from bev_perception.datasets.drive_notes import drive_notes
from bev_perception.datasets.image_survey import ImageNote, ImageSurvey, survey_images
from bev_perception.datasets.planned_set import PlannedSet
from bev_perception.datasets.shard_format import boxes_to_json
from bev_perception.datasets.shard_settings import ShardSettings
from bev_perception.datasets.standing import StandingFilter
from bev_perception.datasets.text_spool import TextSpool
from bev_perception.errors import BevError, DatasetError
from bev_perception.geometry import Rig, RigidTransform
from bev_perception.geometry.box_arrays import BoxArrays
from bev_perception.parallel import stop_if_asked
from bev_perception.perception import Synchronizer

_GAP_FACTOR = 3.0
_USUAL_SHARE = 0.9


@dataclass
class DriveSurvey:
    """What is known of a drive before it is written.

    Attributes:
        rig: its calibration.
        start_ns: first stamp of its images.
        kept: sets to write, in order, with the number of their segment.
        seen: all sets.
        cuts: what is left out.
        notes: what a person should know.
        share_in_view: of the boxes said to be visible, those that are in an image; NaN
            where no box was asked for.
        suspect: a set whose boxes do not project, for a picture.
        counts: of the boxes of the kept sets, see count_boxes.
        distance_m: driven from one kept set to the next of its segment.
    """

    rig: Rig
    start_ns: int
    kept: list[tuple[PlannedSet, int]] = field(default_factory=list)
    seen: int = 0
    cuts: list[Cut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    share_in_view: float = float("nan")
    suspect: PlannedSet | None = None
    counts: NDArray[np.int64] = field(default_factory=no_boxes)
    distance_m: float = 0.0

    @property
    def bad_sets(self) -> int:
        """Sets that were cut out for a defect."""
        return sum(cut.sets for cut in self.cuts if cut.cause != "standing")

    @property
    def standing_sets(self) -> int:
        """Sets left out because the vehicle stood."""
        return sum(cut.sets for cut in self.cuts if cut.cause == "standing")


def survey_drive(bag: RecordedBag, settings: ShardSettings, spool: TextSpool) -> DriveSurvey:
    """Reads a bag once, its labels too.

    Args:
        bag: to judge.
        settings: what is asked of a set.
        spool: takes the JSON of the boxes of the kept sets.

    Raises:
        BevError: nothing of the bag can be used, in words.
    """
    rig = bag.rig()
    if not bag.label_stamps_ns:
        raise DatasetError(
            "no labels at all; expected objects as MarkerArray, Detection3DArray or ObjectArray "
            "beside the images, for example on /ground_truth/objects"
        )
    if settings.min_cameras is not None and settings.min_cameras > len(rig):
        raise DatasetError(f"min_cameras is {settings.min_cameras}, but it has {len(rig)} cameras")
    images = survey_images(bag, rig)
    synchronizer: Synchronizer[ImageNote] = Synchronizer(
        rig.names, round(settings.sync_tolerance_ms * 1e6)
    )
    found = list(_synchronised(images, synchronizer))
    if not found:
        raise DatasetError("no images at all; check the image topics")
    poses = [bag.world_T_base(_stamp(notes)) for notes in found]
    has_poses = any(pose is not None for pose in poses)
    judge = _Judge(bag, rig, settings, images.doubled, has_poses, spool)
    planned = [judge.judged(notes, pose) for notes, pose in zip(found, poses)]
    start_ns = min(note.stamp_ns for note in images.images)
    survey = DriveSurvey(rig, start_ns, seen=len(planned), suspect=judge.suspect)
    survey.counts = judge.counts
    _arrange(survey, planned)
    survey.share_in_view = judge.seen / judge.asked if judge.asked else float("nan")
    survey.notes = [*drive_notes(bag, images, synchronizer, planned), *judge.notes()]
    return survey


class _Judge:
    """Finds the first thing that is wrong with a set, and counts over all sets."""

    def __init__(
        self,
        bag: RecordedBag,
        rig: Rig,
        settings: ShardSettings,
        doubled: Sequence[tuple[int, int]],
        has_poses: bool,
        spool: TextSpool,
    ) -> None:
        self._bag, self._rig, self._settings, self._spool = bag, rig, settings, spool
        self._doubled, self._has_poses = doubled, has_poses
        self._changes = bag.rig_changes
        self._needed = settings.min_cameras or len(rig)
        self._standing = StandingFilter(settings.min_distance_m, settings.standing_interval_s)
        self._bottoms: list[float] = []
        self._without_visibility = 0
        self._with_visibility = 0
        self.counts = no_boxes()
        self.asked = self.seen = 0
        self.suspect: PlannedSet | None = None

    def judged(self, notes: dict[str, ImageNote], pose: RigidTransform | None) -> PlannedSet:
        stop_if_asked()
        stamp = _stamp(notes)
        usable = {name: note for name, note in notes.items() if not note.problem}
        cause, detail = self._time_cause(notes) or self._image_cause(notes, usable) or ("", "")
        if not cause and pose is None and self._has_poses:
            cause = "no ego pose"
        if not cause and not self._standing.wants(stamp, pose):
            cause = "standing"
        if cause:
            return PlannedSet(stamp, usable, pose, cause, detail)
        try:
            boxes = self._bag.object_arrays(stamp)
        except BevError as error:
            text = str(error).removeprefix(f"{self._bag.path}: ")
            return PlannedSet(stamp, usable, pose, "bad labels", text)
        if boxes is None:
            return PlannedSet(stamp, usable, pose, "no labels")
        impossible = impossible_value(boxes)
        if impossible:
            return PlannedSet(stamp, usable, pose, "bad labels", impossible)
        cause, detail = self._box_cause(boxes)
        if cause:
            found = PlannedSet(stamp, usable, pose, cause, detail)
            self.suspect = self.suspect or found
            return found
        self._standing.keep(stamp, pose)
        self.counts += count_boxes(boxes)
        place = self._spool.add(boxes_to_json(boxes))
        return PlannedSet(stamp, usable, pose, objects=place)

    def notes(self) -> list[str]:
        """About the boxes of the whole drive."""
        notes = [ground_note(self._bottoms)]
        if self._without_visibility and not self._with_visibility:
            notes.append(
                "the labels have no visibility: whether boxes are where cameras see them was not "
                "judged, look at the picture"
            )
        if self.asked and self.seen < _USUAL_SHARE * self.asked:
            notes.append(
                f"{100 * (1 - self.seen / self.asked):.0f} % of {self.asked} boxes that are said "
                f"to be visible are in no image: does the calibration belong to these labels?"
            )
        return [note for note in notes if note]

    def _time_cause(self, notes: dict[str, ImageNote]) -> tuple[str, str] | None:
        stamp = _stamp(notes)
        if any(first <= stamp <= last for first, last in self._doubled):
            return "clock jump", "the clock was set back while recording"
        causes = (self._changes.cause(note.stamp_ns, note.log_ns) for note in notes.values())
        return next(filter(None, causes), None)

    def _image_cause(
        self, notes: dict[str, ImageNote], usable: dict[str, ImageNote]
    ) -> tuple[str, str] | None:
        if len(usable) >= self._needed:
            return None
        problems = [f"{name}: {note.problem}" for name, note in notes.items() if note.problem]
        if problems:
            return "unusable image", "; ".join(problems)
        missing = [name for name in self._rig.names if name not in notes]
        return "camera missing", ", ".join(missing)

    def _box_cause(self, boxes: BoxArrays) -> tuple[str, str]:
        asked, seen = boxes_in_view(boxes, self._rig, self._settings.min_visibility)
        self.asked += asked
        self.seen += seen
        known = int(np.isfinite(boxes.visibilities).sum())
        self._with_visibility += known
        self._without_visibility += len(boxes) - known
        self._bottoms += vehicle_bottoms(boxes)
        if asked >= MIN_BOXES and seen < MIN_SHARE * asked:
            return "boxes do not project", f"{seen} of {asked} are in an image"
        return "", ""


def _synchronised(
    survey: ImageSurvey, synchronizer: Synchronizer[ImageNote]
) -> Iterator[dict[str, ImageNote]]:
    for note in survey.images:
        for found in synchronizer.add(note):
            yield dict(found.frames)
    for found in synchronizer.flush():
        yield dict(found.frames)


def _stamp(notes: Mapping[str, ImageNote]) -> int:
    """Of a set: that of its first image."""
    return min(note.stamp_ns for note in notes.values())


def _arrange(survey: DriveSurvey, planned: list[PlannedSet]) -> None:
    """Fills in cuts, gaps, and the segments between them."""
    stamps = [each.stamp_ns for each in planned]
    periods = np.diff(stamps)
    usual_ns = float(np.median(periods[periods > 0])) if (periods > 0).any() else float("inf")
    found_gaps = gaps(stamps, _GAP_FACTOR * usual_ns)
    after_gap = {gap.last_ns for gap in found_gaps}
    survey.cuts = cut_spans((each.stamp_ns, each.cause, each.detail) for each in planned)
    survey.cuts = sorted([*survey.cuts, *found_gaps], key=lambda cut: cut.first_ns)
    segment, broken = 0, False
    for each in planned:
        broken = broken or each.stamp_ns in after_gap or each.cause not in ("", "standing")
        if each.cause:
            continue
        if survey.kept and broken:
            segment += 1
        elif survey.kept:
            survey.distance_m += _distance_m(survey.kept[-1][0], each)
        broken = False
        survey.kept.append((each, segment))


def _distance_m(before: PlannedSet, after: PlannedSet) -> float:
    if before.world_T_base is None or after.world_T_base is None:
        return 0.0
    moved = after.world_T_base.translation - before.world_T_base.translation
    return float(np.linalg.norm(moved))
