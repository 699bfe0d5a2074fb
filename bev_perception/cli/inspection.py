# SPDX-License-Identifier: Apache-2.0
"""What a look at a bag finds: contents, synchronisation, and what to do about trouble."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from bev_perception.bags import BagReader, BagSummary
from bev_perception.bags.rig_changes import RigChanges
from bev_perception.doctor.set_check import LARGE_DELAY_MS
from bev_perception.errors import BevError
from bev_perception.geometry import CameraFrame, FrameSet, PinholeCamera, Rig
from bev_perception.perception import Synchronizer, frame_sets


@dataclass
class Synchronisation:
    """How the cameras' images fall into sets.

    Attributes:
        complete, partial: sets with all cameras, and with some missing.
        missing: sets that lack a camera, by camera.
        alone: cameras that are never in a set with another one, and their sets' number.
        delay_ms: median delay behind the earliest image of a set, by camera.
        dropped: images in no set, by camera, by cause.
        without_pose: sets at whose time no ego pose is known.
        labelled: sets with labelled objects near their time.
        description: one line.
    """

    complete: int = 0
    partial: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    alone: dict[str, int] = field(default_factory=dict)
    delay_ms: dict[str, float] = field(default_factory=dict)
    dropped: dict[str, dict[str, int]] = field(default_factory=dict)
    without_pose: int = 0
    labelled: int = 0
    description: str = ""

    @property
    def total(self) -> int:
        """All sets."""
        return self.complete + self.partial


@dataclass
class Inspection:
    """Everything that is known about a bag.

    Attributes:
        summary: of its topics.
        rig: calibration, None when it is unusable.
        synchronisation: None when there were no sets.
        findings: what a person should know or do, one each.
        fatal: why the bag cannot be used, None when it can.
    """

    summary: BagSummary
    rig: Rig | None = None
    synchronisation: Synchronisation | None = None
    findings: list[str] = field(default_factory=list)
    fatal: BevError | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        summary = asdict(self.summary)
        for camera, entry in zip(self.summary.cameras, summary["cameras"]):
            entry["camera"] = None if camera.camera is None else _camera_to_dict(camera.camera)
        mounting = {
            name: {
                "position_m": entry.base_T_camera.translation.round(4).tolist(),
                "base_T_camera": entry.base_T_camera.matrix.round(6).tolist(),
            }
            for name, entry in (self.rig.cameras.items() if self.rig else ())
        }
        return {
            **summary,
            "mounting": mounting,
            "synchronisation": asdict(self.synchronisation) if self.synchronisation else None,
            "findings": self.findings,
        }


def inspect_bag(reader: BagReader, on_set: Callable[[FrameSet], object]) -> Inspection:
    """Reads a whole bag and judges it.

    Args:
        reader: of the bag.
        on_set: called with every synchronised set, for progress and pictures.

    Returns:
        With ``fatal`` set where the bag cannot be used, and all that was found before that.

    Raises:
        BagError: the bag is so damaged that its topics cannot be listed.
    """
    inspection = Inspection(reader.summary())
    try:
        inspection.rig = reader.rig()
        inspection.synchronisation = _synchronise(reader, inspection.rig, on_set)
    except BevError as error:
        inspection.fatal = error
    found = list(inspection.summary.problems)
    if inspection.fatal is not None:
        found.append(str(inspection.fatal).removeprefix(f"{inspection.summary.path}: "))
    inspection.findings = list(dict.fromkeys(found))
    if inspection.rig is not None:
        changes = reader.rig_changes
        found = [each for each in inspection.findings if each not in map(str, changes.mountings)]
        inspection.findings = [*changes.sentences(), *found]
    if inspection.synchronisation is not None:
        summary, sync = inspection.summary, inspection.synchronisation
        inspection.findings += _findings(summary, sync, reader.rig_changes)
    return inspection


def _synchronise(
    reader: BagReader, rig: Rig, on_set: Callable[[FrameSet], object]
) -> Synchronisation:
    synchronizer: Synchronizer[CameraFrame] = Synchronizer(rig.names)
    result, delays = Synchronisation(), defaultdict(list)
    singles: Counter[str] = Counter()
    together: set[str] = set()
    for frame_set in frame_sets(reader, synchronizer):
        absent = [name for name in rig.names if name not in frame_set.frames]
        result.missing.update(absent)
        if len(frame_set.frames) > 1:
            together.update(frame_set.frames)
        else:
            singles.update(list(frame_set.frames))
        for name, frame in frame_set.frames.items():
            delays[name].append((frame.stamp_ns - frame_set.stamp_ns) / 1e6)
        result.without_pose += frame_set.world_T_base is None
        result.labelled += reader.objects(frame_set.stamp_ns) is not None
        on_set(frame_set)
    if len(rig.names) > 1:
        result.alone = {name: singles[name] for name in singles if name not in together}
    statistics = synchronizer.statistics
    result.complete, result.partial = statistics.complete_sets, statistics.partial_sets
    result.dropped = {name: dict(causes) for name, causes in statistics.dropped.items() if causes}
    result.delay_ms = {name: float(np.median(values)) for name, values in delays.items()}
    result.description = statistics.describe()
    return result


def _findings(summary: BagSummary, sync: Synchronisation, changes: RigChanges) -> list[str]:
    findings = [
        f"camera {name} is never within 50 ms of another camera: {count} of {sync.total} sets hold "
        f"it alone; check its clock"
        for name, count in sync.alone.items()
    ]
    shared = sync.total - sum(sync.alone.values())
    for name, count in sync.missing.items():
        lacking = count - sum(sync.alone.values())  # of the sets that several cameras share
        if name not in sync.alone and lacking > 0:
            why = "; its images of another rig are left out, else" if changes.concern(name) else ";"
            findings.append(
                f"camera {name} is missing in {lacking} of {shared} sets{why} check its rate and "
                f"its gaps"
            )
    findings += [
        f"camera {name} usually comes {delay:.0f} ms after the first of its set; trigger the "
        f"cameras together, or expect moving objects to be displaced"
        for name, delay in sync.delay_ms.items()
        if delay > LARGE_DELAY_MS
    ]
    findings += [
        f"camera {name}: {sum(causes.values())} images are in no set ("
        + ", ".join(f"{cause} {count}" for cause, count in causes.items())
        + "); check its clock"
        for name, causes in sync.dropped.items()
    ]
    if sync.without_pose:
        findings.append(
            f"the ego pose is unknown at {sync.without_pose} of {sync.total} sets, so the map is "
            f"not levelled there; record /tf from map or odom to {summary.base_frame}"
        )
    if summary.labels_topic is None:
        findings.append(
            "no labelled objects: enough for bev run, not for bev train and bev evaluate"
        )
    elif sync.labelled < sync.total:
        findings.append(
            f"{sync.total - sync.labelled} of {sync.total} sets have no labels within 50 ms; "
            f"training and evaluation leave them out"
        )
    return findings


def _camera_to_dict(camera: PinholeCamera) -> dict[str, Any]:
    return {
        "width": camera.width,
        "height": camera.height,
        "fx": camera.fx,
        "fy": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
        "horizontal_fov_deg": camera.horizontal_fov_deg,
        "distortion_model": camera.distortion_model,
        "distortion": list(camera.distortion),
    }
