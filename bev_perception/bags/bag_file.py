# SPDX-License-Identifier: Apache-2.0
"""An opened bag file: raw messages, with every defect of the file told as a BagError."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from errno import EDQUOT, EMFILE, ENFILE, ENOMEM, ENOSPC
from pathlib import Path
from typing import Any

from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection

from bev_perception.bags.bag_trust import check_before_opening, check_opened
from bev_perception.bags.type_definitions import used_types
from bev_perception.bags.typestore import bag_typestore
from bev_perception.errors import BagError, BevError, ResourceError

STORAGE_SUFFIXES = {".mcap": "mcap", ".db3": "sqlite3"}
_MENDING = {
    "mcap": "the recording was cut off or damaged; `mcap recover` of the MCAP tools saves what is "
    "there, else record again",
    "sqlite3": "the recording was cut off or damaged; `ros2 bag reindex` or sqlite3's `.recover` "
    "may save what is there, else record again",
}


_NO_MEMORY, _NO_DISK, _NO_FILES = (
    "memory ran out", "the disk of temporary files is full", "too many files are open"
)  # fmt: skip
_RELIEF = {
    _NO_MEMORY: "work on fewer bags at a time",
    _NO_DISK: "bags whose files are compressed whole are unpacked there: make room, or name "
    "another folder in TMPDIR",
    _NO_FILES: "raise the limit with `ulimit -n`",
}


class BagFile:
    """A rosbag2 folder, or one .mcap or .db3 file of it, opened for reading.

    Args:
        path: the folder with metadata.yaml, or the storage file itself.

    Raises:
        BagError: nothing is there, it is no bag, or it is damaged.
        ResourceError: the machine ran out of disk, memory or open files.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._source = storage_source(self.path)
        self._reader: AnyReader | None = None
        self._headers: dict[str, bool] = {}
        self._own_definitions: dict[tuple[str, ...], bool] = {}
        try:
            check_before_opening(self._source)
            reader = AnyReader([self._source], default_typestore=bag_typestore())
            reader.open()
            check_opened(reader)
        except Exception as error:  # third-party parsers raise anything on damaged bytes
            raise self._damage(error) from error
        self._reader = reader
        self._register_missing_types()

    @property
    def storage(self) -> str:
        """``mcap`` or ``sqlite3``."""
        if self._source.is_file():
            return STORAGE_SUFFIXES[self._source.suffix]
        return "mcap" if any(self._source.glob("*.mcap*")) else "sqlite3"

    @property
    def connections(self) -> list[Connection]:
        """All connections: one per topic and type, in the order they were recorded."""
        return list(self._open_reader().connections)

    @property
    def log_range_ns(self) -> tuple[int, int]:
        """First and last time of recording, nanoseconds; (0, 0) for an empty bag."""
        reader = self._open_reader()
        if not reader.message_count:
            return 0, 0
        return int(reader.start_time), int(reader.end_time) - 1

    def messages(
        self,
        connections: Collection[Connection] = (),
        start_ns: int | None = None,
        stop_ns: int | None = None,
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """(connection, time of recording, serialized message) by time of recording.

        Raises:
            BagError: the file is damaged.
        """
        reader = self._open_reader()
        messages = reader.messages(connections=connections, start=start_ns, stop=stop_ns)
        while True:
            try:
                entry = next(messages)
            except StopIteration:
                return
            except Exception as error:  # third-party parsers raise anything on damaged bytes
                raise self._damage(error) from error
            yield entry

    def decode(self, connection: Connection, raw: bytes) -> Any:
        """The message.

        Raises:
            BagError: the bytes do not fit the type.
        """
        try:
            return self._open_reader().deserialize(raw, connection.msgtype)
        except Exception as error:  # generated decoders raise anything on damaged bytes
            raise BagError(
                f"{self.path}: a message of {len(raw)} bytes on {connection.topic} is no "
                f"{connection.msgtype} ({describe(error)}); the recording is damaged"
            ) from error

    def has_header(self, connection: Connection) -> bool:
        """Whether messages begin with a std_msgs/Header."""
        known = self._headers.get(connection.msgtype)
        if known is None:
            definition = self._open_reader().typestore.fielddefs.get(connection.msgtype)
            fields = definition[1] if definition else []
            known = bool(fields) and fields[0][1][1] == "std_msgs/msg/Header"
            self._headers[connection.msgtype] = known
        return known

    def has_own_definitions(self, msgtypes: tuple[str, ...]) -> bool:
        """Whether the bag defines types as this program does, field by field."""
        if msgtypes not in self._own_definitions:
            theirs, own = self._open_reader().typestore.fielddefs, bag_typestore().fielddefs
            self._own_definitions[msgtypes] = all(
                theirs.get(name) == own.get(name) for name in msgtypes
            )
        return self._own_definitions[msgtypes]

    def close(self) -> None:
        """Closes the file; a second time does nothing."""
        reader, self._reader = self._reader, None
        if reader is not None:
            with suppress(Exception):  # nothing to lose on a file that was only read
                reader.close()

    def _open_reader(self) -> AnyReader:
        if self._reader is None:
            raise BagError(f"{self.path}: the bag is closed; open it again to read from it")
        return self._reader

    def _register_missing_types(self) -> None:
        """Types whose definition the bag embeds no text for, from our own."""
        store, own = self._open_reader().typestore, bag_typestore()
        missing = {}
        waiting = [connection.msgtype for connection in self.connections]
        while waiting:
            name = waiting.pop()
            if name in own.fielddefs and name not in store.fielddefs and name not in missing:
                missing[name] = own.fielddefs[name]
                waiting += used_types(missing[name])
        if missing:  # of all types it would take half a second
            store.register(missing)

    def _damage(self, error: Exception) -> BevError:
        exhausted = _exhausted(error)
        if exhausted:
            return ResourceError(
                f"{self.path}: {exhausted} while the bag was read, which may be quite in order; "
                f"{_RELIEF[exhausted]}"
            )
        kind = STORAGE_SUFFIXES.get(self._source.suffix, "")
        if not kind:
            kind = "mcap" if any(self._source.glob("*.mcap*")) else "sqlite3"
        advice = _MENDING[kind]
        text = describe(error)
        if "metadata" in text.lower() or "yaml" in text.lower():
            advice = (
                "mend metadata.yaml, rebuild it with `ros2 bag reindex`, or name the .mcap or .db3 "
                "file inside the folder instead of the folder"
            )
        elif "not in timestamp order" in text:
            advice = "its stamps are not in order; sort it with `mcap sort` of the MCAP tools"
        elif "compression" in text.lower():
            advice = "decompress it with `ros2 bag convert` and try again"
        return BagError(f"{self.path}: cannot be read as a ROS 2 bag: {text}; {advice}")


def _exhausted(error: Exception) -> str:
    """What of the machine ran out; empty where the bag is to blame."""
    if isinstance(error, MemoryError):
        return _NO_MEMORY
    code = error.errno if isinstance(error, OSError) else None
    return {ENOMEM: _NO_MEMORY, ENOSPC: _NO_DISK, EDQUOT: _NO_DISK,
            EMFILE: _NO_FILES, ENFILE: _NO_FILES}.get(code or 0, "")  # fmt: skip


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Names the bag in errors that do not: one of two hundred may be the bad one.

    Raises:
        BevError: of the same kind, its message beginning with the path.
    """
    try:
        yield
    except BevError as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from error


def describe(error: Exception) -> str:
    """One line that says what an exception of another library is about."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, (KeyError, AssertionError, TypeError)):
        text = f"{type(error).__name__} {text}" if str(error) else type(error).__name__
    return text.rstrip(".")[:400]


def storage_source(path: Path) -> Path:
    """What to open for a path that the user named.

    Raises:
        BagError: nothing is there, or it is no ROS 2 bag.
    """
    if not path.exists():
        raise BagError(f"{path}: there is no such bag; check the path")
    if path.is_file():
        if path.suffix == ".bag":
            raise BagError(
                f"{path}: a ROS 1 bag; convert it with `rosbags-convert --src {path.name} "
                f"--dst {path.stem}` first"
            )
        if path.name == "metadata.yaml":
            return path.parent
        if path.suffix not in STORAGE_SUFFIXES:
            raise BagError(
                f"{path}: not a ROS 2 bag; name a folder with metadata.yaml or a "
                f"{' or '.join(STORAGE_SUFFIXES)} file"
            )
        return path
    if (path / "metadata.yaml").is_file():
        return path
    storages = sorted(file for file in path.iterdir() if file.suffix in STORAGE_SUFFIXES)
    if len(storages) == 1:
        return storages[0]
    if storages:
        raise BagError(
            f"{path}: metadata.yaml is missing beside {len(storages)} storage files; rebuild it "
            f"with `ros2 bag reindex`, or name one of the files"
        )
    raise BagError(f"{path}: not a ROS 2 bag: no metadata.yaml and no .mcap or .db3 file in it")
