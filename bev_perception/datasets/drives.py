# SPDX-License-Identifier: Apache-2.0
"""Opens a drive by its path, whatever it is stored in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bev_perception.datasets.bag_drive import BagDrive
from bev_perception.datasets.labelled_set import LabelledDrive
from bev_perception.datasets.shard_reader import (
    ShardDrive,
    ShardReader,
    is_shard_drive,
    is_shards,
)
from bev_perception.errors import BagError, ConfigurationError, DatasetError
from bev_perception.geometry import RigFile

BAG_SUFFIXES = (".mcap", ".db3")


def open_drive(path: Path, rig_file: RigFile | None = None) -> LabelledDrive:
    """The drive at a path that find_bags gave.

    Args:
        path: a bag, or the folder of a drive in shards.
        rig_file: for bags that need one; shards carry their calibration.

    Raises:
        BevError: it cannot be read.
    """
    return ShardDrive(path) if is_shard_drive(path) else BagDrive(path, rig_file)


def find_bags(paths: Sequence[Path]) -> list[Path]:
    """The drives among paths, each a path that open_drive takes.

    A path is a bag, a folder with bags directly inside it, a data set of ``bev extract`` (all
    its drives, or with ``:split`` those of one split), or one drive of such a data set.

    Raises:
        BevError: a path does not exist, is another file or holds no drive, or a drive is named
            twice, be it by its folder and by its file.
    """
    drives: list[Path] = []
    for path in map(Path, paths):
        drives += _drives_of_shards(path) if is_shards(path) else _bags_of(path)
    named: dict[Path, Path] = {}
    for drive in drives:
        for file in storage_of(drive):
            if file in named:
                raise ConfigurationError(
                    f"{named[file]} and {drive} are the same drive; name it once"
                )
            named[file] = drive
    return drives


def storage_of(drive: Path) -> frozenset[Path]:
    """What a drive of find_bags is read from: those of two names of one drive overlap.

    The resolved files of a bag, as it may be named by its folder and by a file of it; else the
    drive's own folder or file.
    """
    place = drive.resolve()
    if not (place.is_dir() and is_bag(place)):
        return frozenset({place})
    files = (file for file in place.glob("*") if file.suffix in BAG_SUFFIXES)
    return frozenset(file.resolve() for file in files) or frozenset({place})


def _drives_of_shards(path: Path) -> list[Path]:
    found = ShardReader(path).drive_paths
    if not found:
        raise DatasetError(f"{path} holds no drive with sets; see its report.html for why")
    return found


def _bags_of(path: Path) -> list[Path]:
    if not path.exists():
        raise BagError(f"{path} does not exist; expected a bag, a folder of bags or a data set")
    if is_bag(path) or is_shard_drive(path):
        return [path]
    if not path.is_dir():
        raise BagError(
            f"{path} is not a bag; expected {' or '.join(BAG_SUFFIXES)}, a bag's folder, a folder "
            f"of bags or a data set of bev extract"
        )
    found = sorted(filter(is_bag, path.iterdir()))
    if not found:
        raise BagError(
            f"{path} holds no bag; expected {' or '.join(BAG_SUFFIXES)} files or folders with a "
            f"metadata.yaml, or a data set of bev extract with its manifest.json"
        )
    return found


def is_bag(path: Path) -> bool:
    """Whether a path is one bag."""
    return path.suffix in BAG_SUFFIXES or (path / "metadata.yaml").is_file()
