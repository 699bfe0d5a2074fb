# SPDX-License-Identifier: Apache-2.0
"""Which files and folders are the samples of which drive."""

from __future__ import annotations

from pathlib import Path

from bev_perception.errors import BagError
from bev_perception.samples.array_files import ARRAY_SUFFIXES, IMAGE_SUFFIXES
from bev_perception.samples.declaration import DECLARATION_FILE

CALIBRATION = "calibration"
"""Stem of a file of a drive that holds what all its samples share."""


def find_drives(folder: Path) -> dict[str, list[Path]]:
    """Files or folders of samples by drive, in the order of their names.

    A drive is a subfolder with samples in it; a folder that holds samples itself is one drive.

    Raises:
        BagError: no samples.
    """
    if not folder.is_dir():
        raise BagError(f"{folder} is no folder; expected one with drives or samples in it")
    own = _samples_in(folder)
    if own:
        return {folder.resolve().name: own}
    drives = {
        entry.name: _samples_in(entry)
        for entry in sorted(folder.iterdir())
        if entry.is_dir() and not entry.name.startswith(".")
    }
    drives = {name: samples for name, samples in drives.items() if samples}
    if not drives:
        raise BagError(
            f"{folder} holds no samples; expected {', '.join(ARRAY_SUFFIXES)} files, or folders "
            f"of pictures and arrays, here or one folder below (see docs/carla.md)"
        )
    return drives


def _samples_in(folder: Path) -> list[Path]:
    """Sample files, else folders that hold pictures or arrays, by name."""
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    files = [
        entry
        for entry in entries
        if entry.is_file() and entry.suffix in ARRAY_SUFFIXES and entry.stem != CALIBRATION
    ]
    folders = [
        entry
        for entry in entries
        if entry.is_dir() and any((entry / name).exists() for name in _folder_marks(entry))
    ]
    return files or folders


def _folder_marks(folder: Path) -> list[str]:
    marks = ["sample.json", "rots.npy", "trans.npy", "imgs.npy", "imgs", "images"]
    has_pictures = any(entry.suffix in IMAGE_SUFFIXES for entry in folder.iterdir())
    return [*marks, "."] if has_pictures and not (folder / DECLARATION_FILE).exists() else marks
