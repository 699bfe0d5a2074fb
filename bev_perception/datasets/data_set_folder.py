# SPDX-License-Identifier: Apache-2.0
"""The folder of a data set while it is made: one writer, nothing foreign, resumable by drive."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bev_perception.datasets.data_card import card_text, make_card
from bev_perception.datasets.data_report import make_report
from bev_perception.datasets.manifest import (
    drive_descriptions,
    make_manifest,
    write_manifest,
    write_text,
)
from bev_perception.datasets.shard_format import (
    DRIVE_NAME,
    DRIVES_FOLDER,
    MANIFEST_NAME,
    load_json,
)
from bev_perception.datasets.shard_writer import PARTIAL_SUFFIX, unwritable
from bev_perception.errors import DatasetError
from bev_perception.folder_lock import LOCK_NAME, only_writer
from bev_perception.visualization import write_report

CARD_NAME, CARD_TEXT_NAME, REPORT_NAME = "card.json", "card.md", "report.html"


@contextmanager
def data_set_folder(out: Path, drives: Collection[str]) -> Iterator[None]:
    """A folder that nobody else writes to, cleared of what killed workers left.

    The lock is the process's and goes with it.

    Args:
        out: made when missing.
        drives: names of those that will be in it.

    Raises:
        DatasetError: another process writes there, it holds other things or drives of another
            data set, or nothing can be written there.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(only_writer(out))
        except BlockingIOError as error:
            raise DatasetError(
                f"another process writes to {out}; wait for it, or choose another folder"
            ) from error
        except OSError as error:
            raise unwritable(out, error) from error
        _check_same_set(out, drives)
        for entry in (out / DRIVES_FOLDER).glob(f".*{PARTIAL_SUFFIX}"):
            shutil.rmtree(entry, ignore_errors=True)
        yield


def is_done(place: Path, key: str) -> bool:
    """Whether a drive's shards are there and were made of what the key stands for."""
    if not (place / DRIVE_NAME).is_file():
        return False
    try:
        values = load_json(place / DRIVE_NAME, "drive")
        sizes = [(place / s["file"]).stat().st_size == s["bytes"] for s in values["shards"]]
    except (DatasetError, OSError, KeyError, TypeError):
        return False  # it is made again
    return values.get("key") == key and all(sizes)


def withdraw_manifest(out: Path) -> None:
    """Before drives change: the manifest no longer tells the truth."""
    (out / MANIFEST_NAME).unlink(missing_ok=True)


def finish(
    out: Path,
    names: Sequence[str],
    splits: Mapping[str, str],
    settings: Mapping[str, Any],
    licence: str,
) -> dict[str, Any]:
    """Report, card and manifest of drives that are done.

    Args:
        out: the folder.
        names: of the drives.
        splits: of the drives, at least of those that hold sets.
        settings: what made the shards.
        licence: of the data, perhaps empty.

    Returns:
        The manifest.

    Raises:
        DatasetError: no drive has a set, or the disk is full.
    """
    drives = drive_descriptions(out, names)
    splits = {name: splits[name] for name in names if drives[name]["sets"]}
    card = make_card(drives, splits, licence)
    try:
        write_report(out / REPORT_NAME, make_report(out, drives, splits, card, settings))
    except OSError as error:
        raise unwritable(out, error) from error
    if not splits:
        first = next(iter(drives.values()))
        raise DatasetError(
            f"none of {len(drives)} drives is fit; {first['source']}: {first['reason']}; see "
            f"{out / REPORT_NAME}"
        )
    write_text(out / CARD_NAME, json.dumps(card, indent=1) + "\n")
    write_text(out / CARD_TEXT_NAME, card_text(card, out.resolve().name))
    manifest = make_manifest(drives, splits, settings, licence)
    write_manifest(out, manifest)
    return manifest


def _check_same_set(out: Path, names: Collection[str]) -> None:
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
