# SPDX-License-Identifier: Apache-2.0
"""From bags to prepared bags, once, several at a time."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bev_perception.bags import BagReader
from bev_perception.datasets.prepared_bag import FORMAT_VERSION, PreparedBag, PreparedBagWriter
from bev_perception.errors import BagError
from bev_perception.geometry import RigidTransform
from bev_perception.geometry.frames import levelled
from bev_perception.geometry.rig_file import load_rig_file
from bev_perception.perception import Preparation, Synchronizer, camera_health, frame_sets

BAG_SUFFIXES = (".mcap", ".db3")


@dataclass(frozen=True)
class ExtractionSettings:
    """What a prepared bag depends on beside the bag.

    Attributes:
        image_size: (height, width) of prepared images.
        stride: keep every stride-th set.
        rig_file: rig file that names topics or calibrates cameras, or None.
    """

    image_size: tuple[int, int]
    stride: int = 1
    rig_file: Path | None = None


def find_bags(paths: Sequence[Path]) -> list[Path]:
    """The bags among paths: each is a bag, or a folder with bags directly inside it.

    Raises:
        BagError: a path does not exist, is another file or holds no bag.
    """
    bags: list[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise BagError(f"{path} does not exist; expected a bag or a folder of bags")
        if not (path.is_dir() or _is_bag(path)):
            raise BagError(
                f"{path} is not a bag; expected {' or '.join(BAG_SUFFIXES)}, a bag's folder or a "
                f"folder of bags"
            )
        found = [path] if _is_bag(path) else sorted(filter(_is_bag, path.iterdir()))
        if not found:
            raise BagError(
                f"{path} holds no bag; expected {' or '.join(BAG_SUFFIXES)} files or folders with "
                f"a metadata.yaml"
            )
        bags += found
    return bags


def prepare_bags(
    bags: Sequence[Path],
    cache: Path,
    settings: ExtractionSettings,
    processes: int = 2,
    show_progress: bool = True,
) -> list[PreparedBag]:
    """Prepared bags in the order given; those that the cache holds are not made again.

    Args:
        bags: see find_bags.
        cache: folder of prepared bags, made when missing.
        settings: part of each prepared bag's key, with the bag's path, size and time of change.
        processes: how many bags are read at a time.
        show_progress: draw a bar.

    Raises:
        BagError: a bag cannot be read, or none of its sets is labelled.
        ConfigurationError: the rig file cannot be used; known before any bag is read.
    """
    if settings.rig_file is not None:
        load_rig_file(settings.rig_file)
    places = [cache / _key(bag, settings) for bag in bags]
    missing = list({place: bag for bag, place in zip(bags, places) if not place.is_dir()}.items())
    bar = tqdm(total=len(missing), desc="prepare bags", unit="bag", disable=not show_progress)
    with bar:
        if processes <= 1 or len(missing) <= 1:
            for place, bag in missing:
                prepare_bag(bag, place, settings)
                bar.update()
        else:
            _prepare_in_parallel(missing, settings, processes, bar)
    return [PreparedBag(place) for place in places]


def prepare_bag(bag: Path, place: Path, settings: ExtractionSettings) -> None:
    """One bag into one prepared bag, complete or not at all; sets without labels are left out.

    Raises:
        BagError: the bag cannot be read, or none of its sets is labelled.
    """
    rig_file = None if settings.rig_file is None else load_rig_file(settings.rig_file)
    with BagReader(bag, rig_file) as reader:
        rig = reader.rig()
        preparation = Preparation(rig, settings.image_size)
        description = {"bag": bag.name, "version": FORMAT_VERSION}
        kept = 0
        with PreparedBagWriter(place, preparation.rig, settings.image_size, description) as writer:
            for number, frame_set in enumerate(frame_sets(reader, Synchronizer(rig.names))):
                if number % settings.stride:
                    continue
                objects = reader.objects(frame_set.stamp_ns)
                if objects is None:
                    continue
                # Cameras that the pipeline would leave out are left out here too.
                usable = {
                    name: frame
                    for name, frame in frame_set.frames.items()
                    if camera_health(frame, rig[name]).ok
                }
                if not usable:
                    preparation.prepare(frame_set)  # raises when all sizes are wrong
                    continue
                prepared = preparation.prepare(replace(frame_set, frames=usable))
                pose = frame_set.world_T_base
                level_T_base = RigidTransform.identity() if pose is None else levelled(pose)
                writer.add(
                    frame_set.stamp_ns, prepared.images, prepared.present, level_T_base, objects
                )
                kept += 1
            if not kept:
                raise BagError(
                    f"{bag} has no camera set with labels within its time; training needs objects "
                    f"as MarkerArray, Detection3DArray or ObjectArray beside the images"
                )


def _prepare_in_parallel(
    missing: Sequence[tuple[Path, Path]],
    settings: ExtractionSettings,
    processes: int,
    bar: tqdm[Any],
) -> None:
    # Spawned, not forked: the parent may hold threads of torch, OpenMP and OpenCV.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(missing)), mp_context=context) as pool:
        jobs = [pool.submit(prepare_bag, bag, place, settings) for place, bag in missing]
        try:
            for job in as_completed(jobs):
                job.result()
                bar.update()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _is_bag(path: Path) -> bool:
    return path.suffix in BAG_SUFFIXES or (path / "metadata.yaml").is_file()


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
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    return f"{bag.stem}-{digest}"
