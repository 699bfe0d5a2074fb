# SPDX-License-Identifier: Apache-2.0
"""Many bags to one data set of shards: resumable, several at a time, the manifest last."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bev_perception.datasets.data_set_folder import (
    data_set_folder,
    finish,
    is_done,
    withdraw_manifest,
)
from bev_perception.datasets.drive_extraction import DriveJob, extract_drive
from bev_perception.datasets.drive_splits import DEFAULT_SHARES, assign_splits
from bev_perception.datasets.manifest import drives_with_sets
from bev_perception.datasets.shard_format import DRIVES_FOLDER, VERSION
from bev_perception.datasets.shard_settings import ShardSettings
from bev_perception.errors import DatasetError
from bev_perception.geometry.rig_file import load_rig_file
from bev_perception.parallel import run_jobs
from bev_perception.ray_cluster import require_ray


@dataclass(frozen=True)
class DataSetPlan:
    """What to make.

    Attributes:
        out: folder of the data set.
        settings: of the shards.
        shares: of the splits.
        seed: of the draw of drives to splits.
        licence: of the data, perhaps empty.
        processes: bags at a time.
        use_ray: one Ray task per bag.
    """

    out: Path
    settings: ShardSettings = field(default_factory=ShardSettings)
    shares: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_SHARES))
    seed: int = 0
    licence: str = ""
    processes: int = 2
    use_ray: bool = False


def extract_bags(
    bags: Sequence[Path],
    plan: DataSetPlan,
    facts: Callable[[Path], Mapping[str, str]] = lambda bag: {},
    on_drive: Callable[[str], object] = lambda name: None,
) -> dict[str, Any]:
    """Makes a data set, or goes on with one that was interrupted.

    Drives that are complete and were made of the same bag with the same settings stay.

    Args:
        bags: see find_bags; no shards among them.
        plan: what to make.
        facts: town, weather and whatever else is known of a bag.
        on_drive: called with a drive's name when it is done, at once for those that stay.

    Returns:
        The manifest.

    Raises:
        DatasetError: no bag is fit, the folder holds another data set, the disk is full.
        ProcessError: a worker was killed; what is done stays.
    """
    if plan.use_ray:
        require_ray()
    if plan.settings.rig_file is not None:
        load_rig_file(plan.settings.rig_file)
    names = drive_names(bags)
    with data_set_folder(plan.out, names):
        jobs = [_job(bag, name, plan, facts(bag)) for name, bag in names.items()]
        missing = [job for job in jobs if not is_done(job.place, job.key)]
        for job in jobs:
            if job not in missing:
                on_drive(job.name)
        threads = max(1, plan.processes // max(1, len(missing)))
        missing = [replace(job, threads=threads) for job in missing]
        if missing:
            withdraw_manifest(plan.out)
        run_jobs(
            extract_drive, missing, plan.processes, lambda job: on_drive(job.name), plan.use_ray
        )
        with_sets = drives_with_sets(plan.out, list(names))
        splits = assign_splits(with_sets, plan.shares, plan.seed)
        settings = {**plan.settings.to_dict(), "split": dict(plan.shares), "split_seed": plan.seed}
        return finish(plan.out, list(names), splits, settings, plan.licence)


def drive_names(bags: Sequence[Path]) -> dict[str, Path]:
    """A name for every bag: its own, with its folder's before it where two are alike.

    Raises:
        DatasetError: a bag is given twice.
    """
    places = [bag.resolve() for bag in bags]
    doubled = [str(place) for place, count in Counter(places).items() if count > 1]
    if doubled:
        raise DatasetError(f"given twice: {', '.join(doubled)}; a drive belongs to one split only")
    for parts in range(1, 6):
        names = [_plain_name(place, parts) for place in places]
        if len(set(names)) == len(names):
            break
    else:
        names = [f"{number:05d}_{name}" for number, name in enumerate(names)]
    return dict(zip(names, bags))


def _plain_name(place: Path, parts: int) -> str:
    """The last parts of a path in characters that WebDataset's keys may have."""
    words = [*place.parts[-parts:-1], place.stem if place.is_file() else place.name]
    text = "_".join(words)
    return "".join(sign if sign.isalnum() or sign in "_-" else "_" for sign in text)


def _job(bag: Path, name: str, plan: DataSetPlan, facts: Mapping[str, str]) -> DriveJob:
    files = sorted(bag.rglob("*")) if bag.is_dir() else [bag]
    states = [(file.name, file.stat()) for file in files if file.is_file()]
    content = {
        "version": VERSION,
        "files": [(own, state.st_size, state.st_mtime_ns) for own, state in states],
        "settings": plan.settings.to_dict(),
        "facts": dict(facts),
    }
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    place = (plan.out / DRIVES_FOLDER / name).absolute()  # Ray's workers may be elsewhere
    settings = plan.settings
    if settings.rig_file is not None:
        settings = replace(settings, rig_file=settings.rig_file.absolute())
    return DriveJob(bag.absolute(), name, place, key, settings, dict(facts))
