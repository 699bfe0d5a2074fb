# SPDX-License-Identifier: Apache-2.0
"""nuScenes into the same shards as bags: one drive per scene, official splits."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bev_perception.bags.compressed_images import decoded_image
from bev_perception.bags.encoded_image import encoded_size, encoded_suffix
from bev_perception.datasets.box_counts import count_boxes, counts_to_dict, no_boxes
from bev_perception.datasets.box_evidence import boxes_in_view
from bev_perception.datasets.data_set_folder import (
    data_set_folder,
    finish,
    is_done,
    withdraw_manifest,
)
from bev_perception.datasets.drive_preview import PREVIEW_NAME, draw_preview
from bev_perception.datasets.nuscenes_scene import SceneMoment, scene_moments, scene_rig
from bev_perception.datasets.nuscenes_splits import official_split
from bev_perception.datasets.nuscenes_tables import NuScenesTables, Row
from bev_perception.datasets.shard_format import (
    DRIVES_FOLDER,
    VERSION,
    StoredPicture,
    StoredSet,
    boxes_to_json,
)
from bev_perception.datasets.shard_writer import ShardWriter, room_for
from bev_perception.errors import BevError, ConfigurationError, DatasetError
from bev_perception.geometry import CameraFrame, FrameSet, Rig
from bev_perception.parallel import run_jobs, stop_if_asked
from bev_perception.untrusted import file_name
from bev_perception.visualization import encode_image

LICENCE = "CC BY-NC-SA 4.0"
MOUNTINGS = ("corrected", "kept")

_MIN_VISIBILITY = 0.4
_USUAL_SHARE = 0.9


@dataclass(frozen=True)
class NuScenesPlan:
    """What to import.

    Attributes:
        root: of nuScenes.
        version: folder of its tables, such as v1.0-mini.
        out: folder of the data set.
        mountings: corrected or kept; see nuscenes_scene.
        sweeps: also the moments between keyframes.
        shard_mb: a shard that has reached this size is followed by another.
        processes: scenes at a time.
    """

    root: Path
    version: str
    out: Path
    mountings: str = "corrected"
    sweeps: bool = False
    shard_mb: float = 256.0
    processes: int = 2

    def __post_init__(self) -> None:
        if self.mountings not in MOUNTINGS:
            raise ConfigurationError(
                f"mountings must be {' or '.join(MOUNTINGS)}, got {self.mountings!r}"
            )


@dataclass(frozen=True, eq=False)
class SceneJob:
    """One scene to write, with all that is needed of the tables."""

    name: str
    place: Path
    key: str
    rig: Rig
    moments: list[SceneMoment]
    facts: dict[str, str]
    shard_bytes: int


def import_nuscenes(
    plan: NuScenesPlan, on_drive: Callable[[str], object] = lambda name: None
) -> dict[str, Any]:
    """Makes a data set of all scenes of a version, or goes on with one that was interrupted.

    Scenes that are complete and were made of the same tables with the same settings stay.

    Returns:
        The manifest.

    Raises:
        DatasetError: tables or images are missing or damaged, the version is published without
            labels, or the disk is full.
        ProcessError: a worker was killed; what is done stays.
    """
    tables = NuScenesTables(plan.root, plan.version)
    if not tables.rows("sample_annotation"):
        raise DatasetError(
            f"{plan.root / plan.version}: sample_annotation.json is empty: this part of nuScenes "
            f"is published without labels, so there is nothing to learn or to judge by; import "
            f"v1.0-trainval or v1.0-mini"
        )
    scenes = _scenes(tables)
    names = [scene["name"] for scene in scenes]
    settings = {
        "nuscenes": plan.version, "mountings": plan.mountings, "sweeps": plan.sweeps,
        "shard_mb": plan.shard_mb,
    }  # fmt: skip
    state = {"settings": settings, "tables": tables.state()}
    with data_set_folder(plan.out, names):
        jobs = []
        for scene in scenes:
            place = plan.out / DRIVES_FOLDER / scene["name"]
            key = _key(scene, state)
            if is_done(place, key):
                on_drive(str(scene["name"]))
            else:
                jobs.append(_job(tables, scene, place, key, plan))
        if jobs:
            withdraw_manifest(plan.out)
        run_jobs(write_scene, jobs, plan.processes, lambda job: on_drive(job.name))
        splits = {name: official_split(plan.version, name) for name in names}
        return finish(plan.out, names, splits, settings, LICENCE)


def write_scene(job: SceneJob) -> None:
    """Writes the shards of one scene, complete or not at all.

    Raises:
        DatasetError: an image is missing or damaged, or the disk is full.
    """
    asked = seen = 0
    counts = no_boxes()
    room_for(sum(map(_bytes, job.moments)), job.place)
    with ShardWriter(job.place, job.name, job.name, job.rig, job.shard_bytes) as writer:
        for moment, stored in zip(job.moments, _stored_sets(job)):
            writer.add(stored)
            counts += count_boxes(moment.boxes)
            in_view = boxes_in_view(moment.boxes, stored.rig, _MIN_VISIBILITY)
            asked, seen = asked + in_view[0], seen + in_view[1]
        writer.add_file(PREVIEW_NAME, encode_image(_preview(job)))
        share = seen / asked if asked else math.nan
        notes = []
        if share < _USUAL_SHARE:
            notes.append(f"{100 * (1 - share):.0f} % of {asked} visible boxes are in no image")
        stamps = [moment.stamp_ns for moment in job.moments]
        places = np.array([moment.world_T_base.translation for moment in job.moments])
        driven = np.linalg.norm(np.diff(places, axis=0), axis=1).sum()
        writer.description.update(
            {
                "key": job.key,
                "facts": job.facts,
                "verdict": "fair" if notes else "good",
                "reason": "",
                "seen": len(stamps),
                "standing": 0,
                "first_stamp_ns": stamps[0],
                "last_stamp_ns": stamps[-1],
                "segments": 1,
                "images": sum(len(moment.images) for moment in job.moments),
                "distance_m": round(float(driven), 1),
                "boxes_in_view": None if math.isnan(share) else round(share, 4),
                "cuts": [],
                "notes": notes,
                "boxes": counts_to_dict(counts),
            }
        )


def _scenes(tables: NuScenesTables) -> list[Row]:
    """All scenes by name; the names become folders.

    Raises:
        DatasetError: there are none, or one has no name that a folder can have.
    """
    path = tables.root / tables.version / "scene.json"
    try:
        scenes = list(tables.rows("scene").values())
        scenes.sort(key=lambda scene: file_name(scene["name"], "the scene's name"))
        names = {scene["name"] for scene in scenes}
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path}: {error}; download the metadata again") from error
    if not scenes or len(names) < len(scenes):
        raise DatasetError(f"{path} has {'two scenes of one name' if scenes else 'no scenes'}")
    return scenes


def _key(scene: Row, state: dict[str, Any]) -> str:
    text = json.dumps([VERSION, scene["token"], state], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _job(tables: NuScenesTables, scene: Row, place: Path, key: str, plan: NuScenesPlan) -> SceneJob:
    try:
        rig = scene_rig(tables, scene)
        moments = scene_moments(tables, scene, plan.mountings == "corrected", plan.sweeps)
        log = tables.row("log", scene["log_token"])
        facts = {"town": str(log["location"]), "weather": _weather(str(scene["description"]))}
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise DatasetError(
            f"{plan.root / plan.version}: scene {scene['name']}: a table lacks a value or holds a "
            f"wrong one: {type(error).__name__} {error}"
        ) from error
    except DatasetError:
        raise
    except BevError as error:
        raise DatasetError(f"{plan.root / plan.version}: {scene['name']}: {error}") from error
    name = str(scene["name"])
    return SceneJob(name, place, key, rig, moments, facts, int(plan.shard_mb * 1e6))


def _weather(description: str) -> str:
    """In nuScenes' own words: descriptions name rain and night and leave the rest out."""
    words = description.lower()
    found = [word for word in ("rain", "night") if word in words]
    return " ".join(found) or "day, dry"


def _bytes(moment: SceneMoment) -> int:
    """About how much a moment will take."""
    sizes = [Path(image.path).stat().st_size for image in moment.images.values()
             if Path(image.path).is_file()]  # fmt: skip
    return sum(sizes) + 400 * len(moment.boxes) + 16_384


def _stored_sets(job: SceneJob) -> Iterator[StoredSet]:
    start_ns = job.moments[0].stamp_ns
    for moment in job.moments:
        stop_if_asked()
        pictures = {}
        for name, image in moment.images.items():
            data = _image_bytes(Path(image.path), job.rig, name)
            pictures[name] = StoredPicture(image.stamp_ns, data, encoded_suffix(data) or "jpg")
        yield StoredSet(
            stamp_ns=moment.stamp_ns,
            pictures=pictures,
            world_T_base=moment.world_T_base,
            objects_json=boxes_to_json(moment.boxes),
            rig=_rig_of(job.rig, moment),
            offset_ns=moment.stamp_ns - start_ns,
        )


def _image_bytes(path: Path, rig: Rig, name: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(
            f"{path}: cannot be read: {error.strerror or error}; download the images of this part "
            f"of nuScenes"
        ) from error
    camera = rig[name].camera
    if encoded_size(data) != (camera.width, camera.height):
        raise DatasetError(
            f"{path}: is no whole JPEG of {camera.width}x{camera.height}; download it again"
        )
    return data


def _rig_of(rig: Rig, moment: SceneMoment) -> Rig:
    """The rig itself where its mountings are the moment's."""
    if all(rig[name].base_T_camera == mounting for name, mounting in moment.mountings.items()):
        return rig
    return Rig(
        {
            name: replace(entry, base_T_camera=moment.mountings.get(name, entry.base_T_camera))
            for name, entry in rig.cameras.items()
        }
    )


def _preview(job: SceneJob) -> np.ndarray:
    moment = job.moments[len(job.moments) // 2]
    frames = {}
    for name, image in moment.images.items():
        pixels = decoded_image(np.frombuffer(Path(image.path).read_bytes(), np.uint8))
        if pixels is None:
            raise DatasetError(f"{image.path}: does not decode; download it again")
        frames[name] = CameraFrame(name, image.stamp_ns, pixels)
    frame_set = FrameSet(moment.stamp_ns, frames, (), moment.world_T_base)
    return draw_preview(frame_set, _rig_of(job.rig, moment), moment.boxes.boxes(), _MIN_VISIBILITY)
