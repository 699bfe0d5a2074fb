# SPDX-License-Identifier: Apache-2.0
"""manifest.json: what a data set of shards holds; written last, it vouches for the rest."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bev_perception import __version__
from bev_perception.datasets.shard_format import (
    DRIVE_NAME,
    DRIVES_FOLDER,
    FORMAT,
    MANIFEST_NAME,
    VERSION,
    load_json,
)
from bev_perception.datasets.shard_writer import unwritable

_OF_DRIVE = (
    "source", "verdict", "reason", "sets", "seen", "standing", "first_stamp_ns",
    "last_stamp_ns", "segments", "images", "distance_m", "rig_hash", "facts", "cuts", "notes",
)  # fmt: skip


def drive_descriptions(root: Path, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """drive.json of drives, by name.

    Raises:
        DatasetError: one is missing or damaged.
    """
    return {name: load_json(root / DRIVES_FOLDER / name / DRIVE_NAME, "drive") for name in names}


def drives_with_sets(root: Path, names: Sequence[str]) -> list[str]:
    """Those of the drives of which something was fit."""
    return [name for name, drive in drive_descriptions(root, names).items() if drive["sets"]]


def make_manifest(
    drives: Mapping[str, Mapping[str, Any]],
    splits: Mapping[str, str],
    settings: Mapping[str, Any],
    licence: str,
) -> dict[str, Any]:
    """The manifest's values.

    Args:
        drives: drive.json by name, in order.
        splits: of the drives that hold sets.
        settings: what made the shards.
        licence: of the data, perhaps empty.
    """
    entries = []
    for name, drive in drives.items():
        entry: dict[str, Any] = {"name": name, "split": splits.get(name)}
        entry |= {key: drive[key] for key in _OF_DRIVE if key in drive}
        entry["shards"] = [f"{DRIVES_FOLDER}/{name}/{shard['file']}" for shard in drive["shards"]]
        entry["bytes"] = sum(shard["bytes"] for shard in drive["shards"])
        entries.append(entry)
    names = sorted(set(splits.values()))
    return {
        "format": FORMAT,
        "version": VERSION,
        "made_by": f"bev_perception {__version__}",
        "licence": licence,
        "settings": dict(settings),
        "splits": {
            split: [name for name in drives if splits.get(name) == split] for split in names
        },
        "rigs": {drive["rig_hash"]: drive["rig"] for drive in drives.values() if drive["rig"]},
        "drives": entries,
    }


def write_manifest(root: Path, manifest: Mapping[str, Any]) -> None:
    """Writes the manifest whole or not at all.

    Raises:
        DatasetError: the disk is full or cannot be written.
    """
    write_text(root / MANIFEST_NAME, json.dumps(manifest, indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a file beside its name and moves it there when it is on the disk.

    Raises:
        DatasetError: the disk is full or cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise unwritable(path, error) from error
