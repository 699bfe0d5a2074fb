# SPDX-License-Identifier: Apache-2.0
"""Where messages go: a bag that appears at its path only when it is complete."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from bev_perception.bags.bag_parts import join_parts
from bev_perception.bags.raw_topic import RawTopic
from bev_perception.bags.recorded_qos import RecordedQos, to_rosbags
from bev_perception.bags.typestore import bag_typestore
from bev_perception.errors import BagError

METADATA_VERSION: Final = 8
"""Of metadata.yaml. From 9 on QoS is a list of mappings, which rosbag2 of Humble and Iron refuse;
that of Jazzy and later reads what is older, too."""

STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}


class BagSink:
    """A bag being written.

    Args:
        path: folder that the bag will be; must not exist.
        storage: key of STORAGES.
        compressed: zstd, by chunk for mcap and by message for sqlite3.
        numbered: files are named NAME_0, NAME_1 as rosbag2 does, so that split can be used.

    Raises:
        BagError: the path exists, or the storage is unknown.
    """

    def __init__(self, path: Path, storage: str, compressed: bool, numbered: bool = False) -> None:
        if storage not in STORAGES:
            raise BagError(f"{path}: unknown storage {storage!r}, expected {' or '.join(STORAGES)}")
        self.path = path
        self._storage = storage
        self._compressed = compressed
        self._numbered = numbered
        self._refuse_existing()
        self._folder: Path | None = None
        self._writer: Writer | None = None
        self._connections: dict[str, Connection] = {}
        self._parts: list[Path] = []
        self._raw_topics: dict[str, RawTopic] = {}

    @property
    def num_parts(self) -> int:
        """Files begun so far."""
        return len(self._parts)

    @property
    def folder(self) -> Path | None:
        """Where it is written until it is complete; None while it is not open."""
        return self._folder

    def open(self) -> None:
        """Begins writing into a hidden folder beside the path.

        Raises:
            BagError: the folder cannot be made.
        """
        self._refuse_existing()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            folder = tempfile.mkdtemp(prefix=f".{self.path.name}.", dir=self.path.parent)
            self._folder = Path(folder)
            self._open_part()
        except OSError as error:
            self.discard()
            raise self._cannot_write(error) from error
        except BaseException:
            self.discard()
            raise

    def write(
        self, topic: str, msgtype: str, stamp_ns: int, message: Any, latched: bool = False
    ) -> None:
        """Adds a message recorded at its own stamp.

        Args:
            topic: announced on first use, with msgtype.
            msgtype: of the message.
            stamp_ns: time of recording.
            message: to serialize.
            latched: whether players shall keep it for late subscribers (transient local).

        Raises:
            BagError: the bag is not open, a topic changes its type, or the disk is full.
        """
        writer = self._open_writer()
        connection = self._connections.get(topic)
        try:
            if connection is None:
                connection = writer.add_connection(
                    topic,
                    msgtype,
                    typestore=bag_typestore(),
                    offered_qos_profiles=[_qos(latched)],
                )
                self._connections[topic] = connection
            if connection.msgtype != msgtype:
                raise BagError(
                    f"{self.path}: {topic} holds {connection.msgtype}, {msgtype} does not fit"
                )
            data = bag_typestore().serialize_cdr(message, msgtype)
            writer.write(connection, stamp_ns, data)
        except OSError as error:
            raise self._cannot_write(error) from error

    def write_raw(self, topic: RawTopic, log_ns: int, data: bytes) -> None:
        """Adds a serialized message as it is.

        Args:
            topic: announced on first use; what the first use says of it stays.
            log_ns: time of recording.
            data: the message in CDR.

        Raises:
            BagError: the bag is not open, a topic changes its type, or the disk is full.
        """
        writer = self._open_writer()
        try:
            connection = self._raw_connection(topic)
            if connection.msgtype != topic.msgtype:
                raise BagError(
                    f"{self.path}: {topic.name} holds {connection.msgtype}, "
                    f"{topic.msgtype} does not fit"
                )
            writer.write(connection, log_ns, data)
        except OSError as error:
            raise self._cannot_write(error) from error

    def announce(self, topics: Iterable[RawTopic]) -> None:
        """Lists topics that have no messages.

        Raises:
            BagError: the bag is not open, or the disk is full.
        """
        try:
            for topic in topics:
                if topic.name not in self._raw_topics:
                    self._raw_connection(topic)
        except OSError as error:
            raise self._cannot_write(error) from error

    def split(self) -> None:
        """Completes the present file and begins the next one; for numbered bags.

        Raises:
            BagError: the bag is not open, or the disk is full.
        """
        writer = self._open_writer()
        if not self._numbered:
            raise BagError(f"{self.path}: only a numbered bag can be split")
        try:
            writer.close()
            self._connections.clear()
            self._open_part()
        except OSError as error:
            raise self._cannot_write(error) from error

    def salvage(self) -> Path | None:
        """After a failed write: the bag gets the files that were complete before.

        Returns:
            Where the file is that was cut off, for tools that recover it; None where the
            storage leaves nothing to recover.

        Raises:
            BagError: nothing can be moved into place.
        """
        if self._folder is None:
            return None
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(Exception):  # the disk is full: what matters is on it already
                writer.abort()
        try:
            part = self._parts.pop()
            files = list(part.glob("*.mcap"))
            remains = self.path.with_name(f"{self.path.name}.cut_off.mcap") if files else None
            if remains is not None:
                files[0].rename(remains)
            if self._parts:
                self._refuse_existing()
                self._assemble()
            return remains
        except OSError as error:
            raise self._cannot_write(error) from error
        finally:
            self.discard()

    def commit(self) -> None:
        """Completes the bag and moves it to its path.

        Raises:
            BagError: the path came into being meanwhile, or the disk is full.
        """
        writer = self._open_writer()
        try:
            writer.close()
            self._refuse_existing()
            self._assemble()
        except OSError as error:
            raise self._cannot_write(error) from error
        finally:
            self._writer = None
            self.discard()

    def discard(self) -> None:
        """Removes what is not yet at its path."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(Exception):  # its files are removed whatever state they are in
                writer.abort()
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def _open_writer(self) -> Writer:
        if self._writer is None:
            raise BagError(f"{self.path}: the bag is not open; use `with BagWriter(...)`")
        return self._writer

    def _raw_connection(self, topic: RawTopic) -> Connection:
        """The topic's connection in the present file."""
        connection = self._connections.get(topic.name)
        if connection is None:
            known = self._raw_topics.setdefault(topic.name, topic)
            connection = self._open_writer().add_connection(
                known.name,
                known.msgtype,
                msgdef=known.definition,
                rihs01=known.digest,
                offered_qos_profiles=[to_rosbags(profile) for profile in known.qos],
            )
            self._connections[topic.name] = connection
        return connection

    def _open_part(self) -> None:
        """Begins the next file, in a folder of its own until the bag is complete."""
        assert self._folder is not None
        number = len(self._parts)
        name = f"{self.path.name}_{number}" if self._numbered else self.path.name
        folder = self._folder / "parts" / name if self._numbered else self._folder / name
        plugin = STORAGES[self._storage]
        writer = Writer(folder, version=METADATA_VERSION, storage_plugin=plugin)
        if self._compressed:
            by_chunk = plugin is StoragePlugin.MCAP
            mode = CompressionMode.STORAGE if by_chunk else CompressionMode.MESSAGE
            writer.set_compression(mode, CompressionFormat.ZSTD)
        writer.open()
        self._writer = writer
        self._parts.append(folder)

    def _assemble(self) -> None:
        """Moves the complete files to the path."""
        assert self._folder is not None
        bag = self._folder / self.path.name
        if self._numbered:
            join_parts(self._parts, bag)
        bag.rename(self.path)

    def _refuse_existing(self) -> None:
        if self.path.exists() or self.path.is_symlink():
            raise BagError(
                f"{self.path}: exists already and is not overwritten; remove it or choose another "
                f"path"
            )

    def _cannot_write(self, error: OSError) -> BagError:
        return BagError(
            f"{self.path}: cannot be written: {error.strerror or error}; "
            f"check permissions and free space"
        )


def _qos(latched: bool) -> Qos:
    durability = "transient_local" if latched else "volatile"
    return to_rosbags(RecordedQos("keep_last", 1 if latched else 10, durability=durability))
