# SPDX-License-Identifier: Apache-2.0
"""Writes the shards of one drive, all of them or none."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from bev_perception.datasets.shard_format import (
    DRIVE_NAME,
    FORMAT,
    VERSION,
    StoredSet,
    set_json,
    set_key,
)
from bev_perception.datasets.stored_points import cloud_bytes
from bev_perception.datasets.tar_header import tar_header
from bev_perception.errors import DatasetError
from bev_perception.geometry import Rig
from bev_perception.geometry.rig_record import rig_hash, rig_to_dict

PARTIAL_SUFFIX = ".partial"


class ShardWriter:
    """The shards of one drive. A context manager: its folder appears complete, or not at all.

    Args:
        path: final folder of the drive; what is there is replaced.
        drive: name of the drive.
        source: what the sets were read from, for people.
        rig: the drive's calibration; None for a drive that turned out to have no sets.
        shard_bytes: a shard that has reached this size is followed by another.

    Raises:
        DatasetError: the disk is full or cannot be written.
    """

    def __init__(
        self, path: Path, drive: str, source: str, rig: Rig | None, shard_bytes: int = 1 << 28
    ) -> None:
        self.description: dict[str, Any] = {}
        """Further plain values for drive.json, to be filled before the end."""
        self._path, self._drive, self._source, self._rig = path, drive, source, rig
        self._shard_bytes = shard_bytes
        self._partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL_SUFFIX}")
        self._shards: list[dict[str, Any]] = []
        self._open: _Shard | None = None
        self._sets = 0
        self._written_rig: Rig | None = None
        self._rig_json = ""

    def __enter__(self) -> ShardWriter:
        shutil.rmtree(self._partial, ignore_errors=True)
        try:
            self._partial.mkdir(parents=True)
        except OSError as error:
            raise unwritable(self._path, error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except OSError as problem:
            raise unwritable(self._path, problem) from problem
        finally:
            if self._open is not None:
                self._open.abandon()
            shutil.rmtree(self._partial, ignore_errors=True)

    @property
    def sets(self) -> int:
        """Sets written so far."""
        return self._sets

    def add(self, stored: StoredSet) -> None:
        """One set, in the order of time.

        Raises:
            DatasetError: the disk is full or cannot be written.
        """
        key = set_key(self._drive, self._sets)
        if stored.rig is not self._written_rig:
            self._written_rig, self._rig_json = stored.rig, json.dumps(rig_to_dict(stored.rig))
        files = {"json": set_json(stored, self._drive, self._source, self._rig_json)}
        for name, picture in stored.pictures.items():
            files[f"{name}.{picture.suffix}"] = picture.data
        for sensor, points in stored.clouds.items():
            files[f"{sensor}.npy"] = cloud_bytes(points)
        try:
            if self._open is None:
                self._open = _Shard(self._partial / f"{len(self._shards):06d}.tar")
            self._open.add(key, files, stored.stamp_ns)
            self._sets += 1
            if self._open.size >= self._shard_bytes:
                self._close_shard()
        except OSError as error:
            raise unwritable(self._path, error) from error

    def add_file(self, name: str, data: bytes) -> None:
        """A further file beside the shards."""
        try:
            (self._partial / name).write_bytes(data)
        except OSError as error:
            raise unwritable(self._path, error) from error

    def _close_shard(self) -> None:
        shard, self._open = self._open, None
        if shard is not None:
            self._shards.append(shard.close())

    def _finish(self) -> None:
        self._close_shard()
        rig = {} if self._rig is None else rig_to_dict(self._rig)
        values = {
            "format": FORMAT,
            "version": VERSION,
            "drive": self._drive,
            "source": self._source,
            "rig": rig,
            "rig_hash": "" if self._rig is None else rig_hash(self._rig),
            "sets": self._sets,
            "shards": self._shards,
            **self.description,
        }
        text = json.dumps(values, indent=1, allow_nan=False)
        with (self._partial / DRIVE_NAME).open("w", encoding="utf-8") as file:
            file.write(text)
            _sync(file)
        if self._path.exists():
            shutil.rmtree(self._path)
        os.replace(self._partial, self._path)


def unwritable(path: Path, error: OSError) -> DatasetError:
    """What to say when the operating system does not let a data set be written."""
    return DatasetError(
        f"{path} cannot be written: {error.strerror or error}; the drives that are done stay: "
        f"make room and run the same command again to go on"
    )


def room_for(num_bytes: int, path: Path) -> None:
    """Refuses to begin what would not fit on the disk.

    Raises:
        DatasetError: fewer bytes are free.
    """
    folder = next(parent for parent in path.absolute().parents if parent.is_dir())
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise DatasetError(
            f"{path} will take about {num_bytes / 1e6:.1f} MB, but {free / 1e6:.1f} MB are free on "
            f"that disk; make room and run the same command again to go on"
        )


class _Shard:
    """One tar file while it is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = path.open("wb")
        self._hash = hashlib.sha256()
        self.size = 0
        self._sets = 0

    def add(self, key: str, files: Mapping[str, bytes], stamp_ns: int) -> None:
        parts: list[bytes] = []
        for name, data in files.items():
            header = tar_header(f"{key}.{name}", len(data), stamp_ns // 1_000_000_000)
            parts += (header, data, bytes(-len(data) % tarfile.BLOCKSIZE))
        self._write(b"".join(parts))
        self._sets += 1

    def close(self) -> dict[str, Any]:
        """What drive.json says of it."""
        self._write(bytes(2 * tarfile.BLOCKSIZE))
        self._write(bytes(-self.size % tarfile.RECORDSIZE))
        try:
            _sync(self._file)
        finally:
            self._file.close()
        return {
            "file": self._path.name,
            "bytes": self.size,
            "sha256": self._hash.hexdigest(),
            "sets": self._sets,
        }

    def abandon(self) -> None:
        """Closes the file that nobody will read."""
        with suppress(OSError):  # the disk is full, which is why it is abandoned
            self._file.close()

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)


def _sync(file: io.IOBase | BinaryIO) -> None:
    """On the disk, so that a file that is there after a crash is whole."""
    file.flush()
    os.fsync(file.fileno())
