# SPDX-License-Identifier: Apache-2.0
"""Reads shards; whatever is damaged is told with its file and set."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.bags.compressed_images import decoded_image
from bev_perception.datasets.labelled_set import LabelledSet
from bev_perception.datasets.shard_format import (
    DRIVE_NAME,
    DRIVES_FOLDER,
    MANIFEST_NAME,
    about_set,
    box_from_dict,
    check_version,
    load_json,
    parse_json,
)
from bev_perception.datasets.stored_points import cloud_from_bytes
from bev_perception.errors import BevError, DatasetError
from bev_perception.geometry import CameraFrame, FrameSet, Rig, RigidTransform
from bev_perception.geometry.rig_record import rig_from_dict
from bev_perception.untrusted import file_name, inside

DEFECTS = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, BevError)
"""What values that are not as they must be raise where they are used."""


class ShardDrive:
    """One drive in shards; see LabelledDrive.

    Args:
        path: its folder, with drive.json.

    Raises:
        DatasetError: it is missing, damaged or of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.description = load_json(self.path / DRIVE_NAME, "drive")
        try:
            self._name = str(self.description["drive"])
            self._shards = [dict(shard) for shard in self.description["shards"]]
            values = self.description["rig"]
            self._rig = rig_from_dict(values) if values else None
            self._num_sets = int(self.description["sets"])
        except DEFECTS as error:
            raise about_set(error, str(self.path / DRIVE_NAME)) from error

    def __enter__(self) -> ShardDrive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Nothing is open between two sets."""

    def __len__(self) -> int:
        return self._num_sets

    @property
    def name(self) -> str:
        """Of the drive."""
        return self._name

    @property
    def rig(self) -> Rig:
        """Calibration of the images.

        Raises:
            DatasetError: the drive was refused, so there are none.
        """
        if self._rig is None:
            verdict = self.description.get("verdict", "it has no sets")
            raise DatasetError(f"{self.path} holds no sets: {verdict}; leave the drive out")
        return self._rig

    def sets(
        self, stride: int = 1, labelled_only: bool = True, points_of: str = "none"
    ) -> Iterator[LabelledSet]:
        """Every stride-th set, images decoded; all are labelled.

        With the points that a network takes whose model.sensor is points_of.

        Raises:
            DatasetError: a shard is missing, cut off or changed, or a set is damaged.
        """
        number = 0
        for shard in self._shards:
            path = self._shard_path(shard)
            _check_whole(path, shard)
            for key, files in _samples(path):
                if number % stride == 0:
                    where = f"{path}: set {key}"
                    try:
                        yield self._labelled(files, where, points_of)
                    except DEFECTS as error:
                        if isinstance(error, DatasetError) and where in str(error):
                            raise
                        raise about_set(error, where) from error
                number += 1

    def _shard_path(self, shard: Mapping[str, Any]) -> Path:
        try:
            return inside(self.path, shard.get("file"), "shard")
        except ValueError as error:
            raise about_set(error, str(self.path / DRIVE_NAME)) from error

    def _labelled(self, files: Mapping[str, bytes], where: str, points_of: str) -> LabelledSet:
        record = parse_json(files["json"], where)
        check_version(record, f"{where}:")
        stamp_ns = int(record["stamp_ns"])
        frames = {}
        for name in self.rig.names:
            entry = record["images"].get(name)
            if entry is not None:
                image = _decoded(files[entry["file"]], f"{where}: {entry['file']}")
                frames[name] = CameraFrame(name, int(entry["stamp_ns"]), image)
        missing = tuple(name for name in self.rig.names if name not in frames)
        pose = record["world_T_base"]
        world_T_base = None if pose is None else RigidTransform.from_matrix(pose)
        cloud = record.get("points", {}).get(points_of.partition("_")[0])
        points = None if cloud is None else cloud_from_bytes(files[cloud["file"]], points_of)
        return LabelledSet(
            FrameSet(stamp_ns, frames, missing, world_T_base, points),
            tuple(box_from_dict(box) for box in record["objects"]),
            self._own_rig(record["rig"]),
            points,
        )

    def _own_rig(self, cameras: Mapping[str, Any]) -> Rig | None:
        """The rig with this set's mountings, None where they are the drive's."""
        drive = self.description["rig"]
        moved = {
            name: cameras[name]["base_T_camera"]
            for name in drive
            if cameras[name]["base_T_camera"] != drive[name]["base_T_camera"]
        }
        if not moved:
            return None
        entries = dict(self.rig.cameras)
        for name, matrix in moved.items():
            mounting = RigidTransform.from_matrix(matrix)
            entries[name] = replace(entries[name], base_T_camera=mounting)
        return Rig(entries)


class ShardReader:
    """A data set of shards.

    Args:
        path: its folder; ``folder:split`` takes the drives of one split only.

    Raises:
        DatasetError: it is missing, damaged, of another version, or lacks the split.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.split = split_path(Path(path))
        if not (self.path / MANIFEST_NAME).is_file():
            raise DatasetError(
                f"{self.path} is no finished data set: it has no {MANIFEST_NAME}, which is written "
                f"last; run the command that makes it again to go on"
            )
        self.manifest = load_json(self.path / MANIFEST_NAME, "manifest")
        try:
            entries = [(file_name(each["name"], "drive"), each["split"], int(each["sets"]))
                       for each in self.manifest["drives"]]  # fmt: skip
        except DEFECTS as error:
            raise about_set(error, str(self.path / MANIFEST_NAME)) from error
        splits = sorted({str(split) for _, split, _ in entries if split})
        if self.split is not None and self.split not in splits:
            raise DatasetError(
                f"{self.path} has no split {self.split!r}; its splits are {', '.join(splits)}"
            )
        self.drive_paths = [
            self.path / DRIVES_FOLDER / name
            for name, split, sets in entries
            if sets and (self.split is None or split == self.split)
        ]
        """Folders of the drives that hold sets."""

    @property
    def drives(self) -> list[ShardDrive]:
        """All drives of the split that hold sets."""
        return [ShardDrive(path) for path in self.drive_paths]


def is_shards(path: Path) -> bool:
    """Whether a path, perhaps with ``:split``, is a data set of shards, perhaps unfinished."""
    folder = split_path(path)[0]
    return (folder / MANIFEST_NAME).is_file() or (folder / DRIVES_FOLDER).is_dir()


def is_shard_drive(path: Path) -> bool:
    """Whether a path is one drive of such a data set."""
    return (path / DRIVE_NAME).is_file()


def split_path(path: Path) -> tuple[Path, str | None]:
    """``folder:split`` taken apart; a path that exists as it is has no split."""
    folder, separator, split = str(path).rpartition(":")
    if path.exists() or not separator or not Path(folder).is_dir():
        return path, None
    return Path(folder), split


def _check_whole(path: Path, shard: Mapping[str, Any]) -> None:
    """Refuses a shard whose content is not what was written."""
    digest = hashlib.sha256()
    try:
        if not path.is_file():
            raise DatasetError(f"{path}: is no file; extract the drive again")
        size = path.stat().st_size
        if size == shard.get("bytes"):
            with path.open("rb") as file:
                for block in iter(lambda: file.read(1 << 20), b""):
                    digest.update(block)
    except OSError as error:
        reason = error.strerror or error
        raise DatasetError(f"{path}: cannot be read: {reason}; extract the drive again") from error
    if size != shard.get("bytes"):
        raise DatasetError(
            f"{path}: {size} bytes, but {shard.get('bytes')} were written; it was cut off: copy it "
            f"again, or delete {path.parent} and extract again"
        )
    if digest.hexdigest() != shard.get("sha256"):
        raise DatasetError(
            f"{path}: its content has changed since it was written (SHA-256 differs); copy it "
            f"again, or delete {path.parent} and extract again"
        )


def _samples(path: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(key, files by their name after the key's dot) of every set."""
    key, files, size = "", dict[str, bytes](), path.stat().st_size
    try:
        with tarfile.open(path, "r|") as archive:
            for member in archive:
                own_key, _, name = member.name.partition(".")
                if own_key != key and files:
                    yield key, files
                    files = {}
                if not member.isreg() or member.issparse() or member.size > size:
                    raise DatasetError(f"{path}: {member.name!r} is no plain file in it")
                content = archive.extractfile(member)
                key, files[name] = own_key, content.read() if content else b""
    except (tarfile.TarError, ValueError, ArithmeticError, EOFError) as error:
        raise DatasetError(f"{path}: damaged: {error}; extract the drive again") from error
    if files:
        yield key, files


def _decoded(data: bytes, where: str) -> NDArray[np.uint8]:
    image = decoded_image(np.frombuffer(data, np.uint8))
    if image is None:
        raise DatasetError(
            f"{where}: an image of {len(data)} bytes that does not decode; extract the drive again"
        )
    return image
