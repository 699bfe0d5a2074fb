# SPDX-License-Identifier: Apache-2.0
"""What of a bag is looked at before rosbags believes it.

rosbags reads metadata, tables and type definitions as they come. A hostile bag could make it
follow aliases without end, query a view that never ends, unpack more than there is memory, or
write code of a hundred million lines for one array.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from functools import cache
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

import yaml
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_typestore

from bev_perception.bags.bounded_decompression import check_chunks, check_packed_file
from bev_perception.bags.type_definitions import used_types
from bev_perception.bags.typestore import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    MARKER_ARRAY,
    OCCUPANCY_GRID,
    ODOMETRY,
    POINT_CLOUD,
    TF,
    bag_typestore,
)
from bev_perception.untrusted import parse_yaml, shown

MAX_UNROLLED = 4096
"""Length of a fixed array of strings or messages, for which code is written element by element."""

MAX_NUMBER = 2**63
"""Of nanoseconds and counts; recorders write an empty bag's start as the largest they have."""

_ROOT = "rosbag2_bagfile_information"
_READ = (
    IMAGE,
    COMPRESSED_IMAGE,
    CAMERA_INFO,
    TF,
    POINT_CLOUD,
    ODOMETRY,
    OCCUPANCY_GRID,
    MARKER_ARRAY,
)
_STORES = (Stores.ROS2_FOXY, Stores.ROS2_HUMBLE, Stores.ROS2_IRON, Stores.LATEST)


def check_before_opening(source: Path) -> None:
    """Looks at metadata.yaml, at compressed storage files and at the tables of sqlite3 files.

    Args:
        source: folder with metadata.yaml, or a storage file.

    Raises:
        Exception: of many kinds; the message says what is wrong.
    """
    if source.is_file():
        storages: Iterable[Path] = [source]
    else:
        storages = _check_metadata(source)
    for storage in storages:
        if not storage.is_file():
            raise ValueError(f"metadata.yaml names {storage.name}, which is no file here")
        if storage.suffix == ".db3":
            _check_tables(storage)


def check_opened(reader: AnyReader) -> None:
    """Looks at the index of mcap files and at the type definitions of the bag.

    Raises:
        Exception: of many kinds; the message says what is wrong.
    """
    for entry in reader.readers:
        storage = getattr(entry, "storage", entry)
        for part in getattr(storage, "storages", [storage]):
            check_chunks(getattr(part, "chunks", []))
    for connection in reader.connections:
        names: tuple[Any, ...] = (connection.topic, connection.msgtype)
        if not all(isinstance(name, str) and name.isprintable() and name for name in names):
            raise ValueError(f"a topic {shown(names[0])} of type {shown(names[1])}")
        if not isinstance(connection.msgcount, int) or connection.msgcount < 0:
            raise ValueError(f"{connection.topic} has {shown(connection.msgcount)} messages")
    _check_definitions(reader)


def _check_metadata(folder: Path) -> list[Path]:
    """Storage files of the bag, those aside that are packed whole and may be unpacked."""
    try:
        values = parse_yaml((folder / "metadata.yaml").read_bytes())
    except yaml.YAMLError as error:
        raise ValueError(f"metadata.yaml is no YAML: {error}") from error
    info = values.get(_ROOT) if isinstance(values, dict) else None
    names = info.get("relative_file_paths") if isinstance(info, dict) else None
    if not isinstance(info, dict) or not isinstance(names, list) or not names:
        raise ValueError("metadata.yaml names no storage files")
    for key in ("storage_identifier", "compression_format", "compression_mode"):
        if not isinstance(info.get(key, ""), (str, type(None))):
            raise ValueError(f"metadata.yaml: {key} is no text")
    for key, value in (
        ("message_count", info.get("message_count")),
        ("duration", _inner(info.get("duration"), "nanoseconds")),
        ("starting_time", _inner(info.get("starting_time"), "nanoseconds_since_epoch")),
    ):
        if not isinstance(value, int) or abs(value) > MAX_NUMBER:
            raise ValueError(f"metadata.yaml: {key} is {shown(value)}, expected a whole number")
    if not all(isinstance(name, str) and PurePath(name).name for name in names):
        raise ValueError("metadata.yaml: relative_file_paths are no names")
    paths = [folder / PurePath(name).name for name in names]
    if (info.get("compression_mode") or "").lower() != "file":
        return paths
    for path in paths:
        check_packed_file(path)
    return []


def _inner(values: object, key: str) -> object:
    return values.get(key) if isinstance(values, dict) else None


def _check_tables(path: Path) -> None:
    """A view or a computed column in the place of a table may take forever to be read."""
    address = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
    with closing(sqlite3.connect(address, uri=True)) as database:
        rows = database.execute("SELECT type, name, sql FROM sqlite_master LIMIT 1000").fetchall()
    for kind, name, sql in rows:
        text = " ".join(str(sql or "").upper().split())
        is_plain = text.startswith("CREATE TABLE") and " AS (" not in text and " AS(" not in text
        if kind not in ("table", "index") or (kind == "table" and not is_plain):
            raise ValueError(f"its database holds {kind} {name!r}, which no recorder makes")


def _check_definitions(reader: AnyReader) -> None:
    """Refuses arrays too long to be written out, and other fields under the name of a ROS type."""
    theirs: dict[str, Any] = dict(reader.typestore.fielddefs)
    for name, (_, fields) in theirs.items():
        for field, (kind, detail) in fields:
            if kind != Nodetype.ARRAY:
                continue
            (element, what), length = detail
            is_unrolled = element != Nodetype.BASE or what[0] in ("string", "wstring")
            if is_unrolled and length > MAX_UNROLLED:
                raise ValueError(f"{name} defines {field} as an array of {length} elements")
    own = bag_typestore().fielddefs
    odd = [name for name in _read_types() if name in theirs and not _holds(theirs[name], own[name])]
    if odd:
        _check_releases(odd, theirs)


@cache
def _read_types() -> tuple[str, ...]:
    """Types that are read field by field, with all that they consist of."""
    own, found, waiting = bag_typestore().fielddefs, dict[str, None](), list(_READ)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = None
            waiting += used_types(own[name])
    return tuple(found)


def _check_releases(names: Iterable[str], theirs: Any) -> None:
    """Types changed between releases of ROS 2, and no other way."""
    stores = [get_typestore(store).fielddefs for store in _STORES]
    for name in names:
        known = [store[name] for store in stores if name in store]
        if known and not any(_holds(theirs[name], definition) for definition in known):
            raise ValueError(f"its definition of {name} is that of no ROS 2 release")


def _holds(definition: Any, expected: Any) -> bool:
    """Whether all expected fields are there with their types; what nobody expects is."""
    if expected is None:
        return True
    fields = dict(definition[1])
    return all(fields.get(name) == kind for name, kind in expected[1])
