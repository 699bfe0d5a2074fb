# SPDX-License-Identifier: Apache-2.0
"""From drives, in bags or in shards, to prepared bags: once, several at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from bev_perception.datasets.drives import find_bags, open_drive
from bev_perception.datasets.labelled_set import LabelledSet
from bev_perception.datasets.prepared_bag import (
    FORMAT_VERSION,
    IMAGES_NAME,
    PreparedBag,
)
from bev_perception.datasets.prepared_bag_writer import PreparedBagWriter
from bev_perception.datasets.unfinished_folder import remove_abandoned
from bev_perception.errors import BagError, DatasetError
from bev_perception.geometry import FrameSet, Rig, RigidTransform
from bev_perception.geometry.frames import levelled
from bev_perception.geometry.point_values import POINT_VALUES
from bev_perception.geometry.rig_file import load_rig_file
from bev_perception.geometry.virtual_camera import VirtualCamera
from bev_perception.parallel import run_jobs, stop_if_asked
from bev_perception.perception import Preparation, camera_health

__all__ = ["ExtractionSettings", "find_bags", "prepare_bag", "prepare_bags"]


@dataclass(frozen=True)
class ExtractionSettings:
    """What a prepared bag depends on beside the bag.

    Attributes:
        image_size: (height, width) of prepared images.
        stride: keep every stride-th set; with labelled_only, of those with labels.
        rig_file: rig file that names topics or calibrates cameras of bags, or None.
        labelled_only: leave sets without labels out; else they come without boxes.
        virtual_cameras: the canonical rig that images are turned to, see Preparation.
        points: keep LiDAR points, too; every set must have a cloud.
        sensor: keep the points that a network with this model.sensor takes, too; one set at least
            must have a cloud.
    """

    image_size: tuple[int, int]
    stride: int = 1
    rig_file: Path | None = None
    labelled_only: bool = True
    virtual_cameras: tuple[VirtualCamera, ...] = ()
    points: bool = False
    sensor: str = "none"

    @property
    def points_of(self) -> str:
        """Which sensor's points are kept, or "none"."""
        return "lidar" if self.points else self.sensor


@dataclass(frozen=True)
class _Job:
    """One drive to prepare."""

    drive: Path
    place: Path
    settings: ExtractionSettings


def prepare_bags(
    bags: Sequence[Path],
    cache: Path,
    settings: ExtractionSettings,
    processes: int = 2,
    show_progress: bool = True,
) -> list[PreparedBag]:
    """Prepared bags in the order given; those that the cache holds are not made again.

    What a killed run had begun of them is removed.

    Args:
        bags: bags or drives of shards, see find_bags.
        cache: folder of prepared bags, made when missing.
        settings: part of each prepared bag's key, with the bag's path, size and time of change.
        processes: how many bags are read at a time.
        show_progress: draw a bar.

    Raises:
        BagError, DatasetError: a drive cannot be read, or has no set that settings let in; the
            cache cannot be written.
        ConfigurationError: the rig file cannot be used; known before any bag is read.
        ProcessError: a worker process was killed; what is prepared stays.
    """
    if settings.rig_file is not None:
        load_rig_file(settings.rig_file)
    places = [cache / _key(bag, settings) for bag in bags]
    remove_abandoned(places, IMAGES_NAME)
    missing = {place: bag for bag, place in zip(bags, places) if not place.is_dir()}
    jobs = [_Job(bag, place, settings) for place, bag in missing.items()]
    with tqdm(total=len(jobs), desc="prepare bags", unit="bag", disable=not show_progress) as bar:
        run_jobs(_prepare, jobs, processes, lambda _: bar.update())
    return [PreparedBag(place) for place in places]


def prepare_bag(bag: Path, place: Path, settings: ExtractionSettings) -> None:
    """One drive into one prepared bag, complete or not at all.

    Raises:
        BagError, DatasetError: the drive cannot be read, or has no set that settings let in.
    """
    rig_file = None if settings.rig_file is None else load_rig_file(settings.rig_file)
    with open_drive(bag, rig_file) as drive:
        rig = drive.rig
        preparation = Preparation(rig, settings.image_size, settings.virtual_cameras)
        description = {"bag": drive.name, "version": FORMAT_VERSION}
        kept, clouds = 0, 0
        with PreparedBagWriter(place, preparation.rig, settings.image_size, description) as writer:
            for labelled in drive.sets(settings.stride, settings.labelled_only, settings.points_of):
                stop_if_asked()
                if settings.points and labelled.points is None:
                    raise BagError(
                        f"{bag} has a set without LiDAR points, {labelled.frame_set.stamp_ns} ns; "
                        f"losses.depth_weight needs a PointCloud2 beside the images of every set "
                        f"(bev simulate --lidar records one; shards made before they held points "
                        f"are to be extracted again; clouds of a LiDAR that was mounted elsewhere "
                        f"then are left out), or 0 to learn without"
                    )
                clouds += labelled.points is not None
                kept += _add(writer, preparation, labelled, settings.points_of)
            if not kept and not settings.labelled_only:
                raise BagError(f"{bag} has no camera set with an image that can be used")
            if not kept:
                raise BagError(
                    f"{bag} has no camera set with labels within its time; training needs objects "
                    f"as MarkerArray, Detection3DArray or ObjectArray beside the images"
                )
            if settings.sensor != "none" and not clouds:
                raise BagError(
                    f"{bag} has no {settings.sensor} points beside any of its sets, and the "
                    f"network takes them (model.sensor); record a PointCloud2 (bev simulate "
                    f"--lidar does), extract shards again that were made before they held points, "
                    f"or choose model.sensor none"
                )


def _prepare(job: _Job) -> None:
    try:
        prepare_bag(job.drive, job.place, job.settings)
    except OSError as error:
        raise DatasetError(
            f"{job.place.parent} cannot be filled with prepared images: {error.strerror or error}; "
            f"those that are complete stay: make room or name another folder in data.cache_dir, "
            f"and run the same command again"
        ) from error


def _add(
    writer: PreparedBagWriter, preparation: Preparation, labelled: LabelledSet, points_of: str
) -> bool:
    """Whether the set had an image that can be used and was written.

    A missing cloud is written as one without points.
    """
    frame_set = _usable(labelled.frame_set, preparation.source_rig)
    if not frame_set.frames:
        preparation.prepare(labelled.frame_set)  # raises when all sizes are wrong
        return False
    prepared = preparation.prepare(frame_set)
    pose = frame_set.world_T_base
    points = labelled.points
    if points_of != "none" and points is None:
        points = np.zeros((0, 3 + len(POINT_VALUES[points_of])))
    writer.add(
        frame_set.stamp_ns,
        prepared.images,
        prepared.present,
        RigidTransform.identity() if pose is None else levelled(pose),
        labelled.objects,
        None if labelled.rig is None else preparation.mounted(labelled.rig),
        pose,
        points,
    )
    return True


def _usable(frame_set: FrameSet, rig: Rig) -> FrameSet:
    """Without the cameras that the pipeline would leave out."""
    frames = {
        name: frame
        for name, frame in frame_set.frames.items()
        if camera_health(frame, rig[name]).ok
    }
    return replace(frame_set, frames=frames)


def _key(bag: Path, settings: ExtractionSettings) -> str:
    """Folder name: readable, and different for whatever would give other content."""
    files = sorted(bag.rglob("*")) if bag.is_dir() else [bag]
    states = [(str(file.resolve()), file.stat()) for file in files if file.is_file()]
    facts = {
        "version": FORMAT_VERSION,
        "files": [(name, state.st_size, state.st_mtime_ns) for name, state in states],
        "image_size": list(settings.image_size),
        "stride": settings.stride,
        "rig_file": settings.rig_file and Path(settings.rig_file).read_text(encoding="utf-8"),
    }
    if not settings.labelled_only:
        facts["labelled_only"] = False
    elif settings.stride > 1:
        facts["counted"] = "sets with labels"  # before, every set was
    if settings.points:
        facts["points"] = True
    elif settings.sensor != "none":
        facts["points"] = settings.sensor
    if settings.virtual_cameras:
        facts["virtual_cameras"] = [asdict(camera) for camera in settings.virtual_cameras]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    return f"{bag.stem}-{digest}"
