# SPDX-License-Identifier: Apache-2.0
"""Many bags to one data set of shards: resumable, several at a time, the manifest last."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bev_perception.datasets.data_card import card_text, make_card
from bev_perception.datasets.data_report import make_report
from bev_perception.datasets.drive_extraction import DriveJob, extract_drive
from bev_perception.datasets.drive_splits import DEFAULT_SHARES, assign_splits
from bev_perception.datasets.manifest import (
    drive_descriptions,
    make_manifest,
    write_manifest,
    write_text,
)
from bev_perception.datasets.parallel import require_ray, run_jobs
from bev_perception.datasets.shard_format import (
    DRIVE_NAME,
    DRIVES_FOLDER,
    MANIFEST_NAME,
    VERSION,
    load_json,
)
from bev_perception.datasets.shard_settings import ShardSettings
from bev_perception.datasets.shard_writer import PARTIAL_SUFFIX, unwritable
from bev_perception.errors import DatasetError
from bev_perception.geometry.rig_file import load_rig_file
from bev_perception.visualization import write_report

CARD_NAME, CARD_TEXT_NAME, REPORT_NAME = "card.json", "card.md", "report.html"
LOCK_NAME = ".lock"


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
    with locked(plan.out):
        _check_same_set(plan.out, names)
        jobs = [_job(bag, name, plan, facts(bag)) for name, bag in names.items()]
        _remove_leftovers(plan.out)
        missing = [job for job in jobs if not _is_done(job)]
        for job in jobs:
            if job not in missing:
                on_drive(job.name)
        threads = max(1, plan.processes // max(1, len(missing)))
        missing = [_with_threads(job, threads) for job in missing]
        if missing:
            (plan.out / MANIFEST_NAME).unlink(missing_ok=True)  # it no longer tells the truth
        run_jobs(
            extract_drive, missing, plan.processes, lambda job: on_drive(job.name), plan.use_ray
        )
        return finish(plan, list(names))


def finish(plan: DataSetPlan, names: Sequence[str], splits: Mapping[str, str] | None = None,
           settings: Mapping[str, Any] | None = None) -> dict[str, Any]:  # fmt: skip
    """Card, report and manifest of drives that are done.

    Args:
        plan: what was made.
        names: of the drives.
        splits: where they are given and not drawn.
        settings: what made the shards; default the plan's.

    Raises:
        DatasetError: no drive has a set, or the disk is full.
    """
    drives = drive_descriptions(plan.out, names)
    with_sets = [name for name in names if drives[name]["sets"]]
    settings = dict(settings or plan.settings.to_dict())
    if splits is None:
        splits = assign_splits(with_sets, plan.shares, plan.seed)
        settings |= {"split": dict(plan.shares), "split_seed": plan.seed}
    card = make_card(drives, splits, plan.licence)
    try:
        report = make_report(plan.out, drives, splits, card, settings)
        write_report(plan.out / REPORT_NAME, report)
    except OSError as error:
        raise unwritable(plan.out, error) from error
    if not with_sets:
        first = next(iter(drives.values()))
        raise DatasetError(
            f"none of {len(drives)} drives is fit; {first['source']}: {first['reason']}; see "
            f"{plan.out / REPORT_NAME}"
        )
    write_text(plan.out / CARD_NAME, json.dumps(card, indent=1) + "\n")
    write_text(plan.out / CARD_TEXT_NAME, card_text(card, plan.out.resolve().name))
    manifest = make_manifest(drives, splits, settings, plan.licence)
    write_manifest(plan.out, manifest)
    return manifest


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


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """One writer at a time; the lock is the process's and goes with it.

    Raises:
        DatasetError: another process writes there, or nothing can be written there.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = (out / LOCK_NAME).open("w")
    except OSError as error:
        raise unwritable(out, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DatasetError(
                f"another process writes to {out}; wait for it, or choose another folder"
            ) from error
        yield


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
    place = plan.out / DRIVES_FOLDER / name
    return DriveJob(bag, name, place, key, plan.settings, dict(facts))


def _with_threads(job: DriveJob, threads: int) -> DriveJob:
    return DriveJob(job.bag, job.name, job.place, job.key, job.settings, job.facts, threads)


def _is_done(job: DriveJob) -> bool:
    """Whether a drive's shards are there and were made of just this."""
    if not (job.place / DRIVE_NAME).is_file():
        return False
    try:
        values = load_json(job.place / DRIVE_NAME, "drive")
        sizes = [(job.place / s["file"]).stat().st_size == s["bytes"] for s in values["shards"]]
    except (DatasetError, OSError, KeyError, TypeError):
        return False  # it is made again
    return values.get("key") == job.key and all(sizes)


def _check_same_set(out: Path, names: Mapping[str, Path]) -> None:
    """Refuses a folder that holds something else."""
    known = {DRIVES_FOLDER, MANIFEST_NAME, CARD_NAME, CARD_TEXT_NAME, REPORT_NAME, LOCK_NAME}
    strangers = sorted(
        entry.name
        for entry in out.iterdir()
        if entry.name not in known and not entry.name.endswith(PARTIAL_SUFFIX)
    )
    if strangers:
        raise DatasetError(
            f"{out} holds other things ({', '.join(strangers[:3])}); choose a folder of its own"
        )
    folder = out / DRIVES_FOLDER
    others = sorted(
        entry.name
        for entry in (folder.iterdir() if folder.is_dir() else ())
        if entry.name not in names and not entry.name.startswith(".")
    )
    if others:
        raise DatasetError(
            f"{out} holds drives of other bags ({', '.join(others[:3])}); give all bags of the "
            f"data set, delete those drives, or choose another folder"
        )


def _remove_leftovers(out: Path) -> None:
    """What killed workers left; nobody else writes here now."""
    for entry in (out / DRIVES_FOLDER).glob(f".*{PARTIAL_SUFFIX}"):
        shutil.rmtree(entry, ignore_errors=True)
