# SPDX-License-Identifier: Apache-2.0
"""What one pass over a bag's small messages tells: transforms, calibrations, label stamps."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rosbags.interfaces import Connection

from bev_perception.bags.bag_file import BagFile
from bev_perception.bags.headers import raw_first_stamp_ns, raw_stamp_ns, stamp_ns
from bev_perception.bags.poses import transform_from_message
from bev_perception.bags.static_changes import StaticChange, StaticHistory
from bev_perception.bags.typestore import CAMERA_INFO, MARKER_ARRAY, ODOMETRY, TF
from bev_perception.errors import BagError, TransformError
from bev_perception.geometry import RigidTransform, TransformTree

_AFTER_STAMP = 12
"""Bytes of a serialized message up to the end of its header's stamp."""


@dataclass
class InfoTopic:
    """CameraInfo messages of one topic.

    Attributes:
        stamps_ns: of all messages.
        calibrations: (stamp_ns, message) of the first and of every one that differs from
            the one before it.
    """

    stamps_ns: list[int] = field(default_factory=list)
    calibrations: list[tuple[int, Any]] = field(default_factory=list)


@dataclass
class BagIndex:
    """What small messages tell.

    Attributes:
        tree: all transforms that are some.
        infos: CameraInfo by topic.
        labels: (stamp, time of recording) of the label messages.
        refused: about transforms that are none, one sentence per edge.
        static_changes: frames that /tf_static places differently over time.
    """

    tree: TransformTree
    infos: dict[str, InfoTopic]
    labels: list[tuple[int, int]]
    refused: tuple[str, ...] = ()
    static_changes: tuple[StaticChange, ...] = ()


def build_index(bag: BagFile, info_topics: Iterable[str], labels: Connection | None) -> BagIndex:
    """Reads all /tf, /tf_static and odometry, the CameraInfo topics and the labels' stamps.

    Static transforms hold for the whole bag however late they were recorded, the last value of
    each; see static_changes. Odometry stands in for a transform to its child frame that no /tf
    gives. Impossible transforms are left out, as they are live.

    Raises:
        BagError: the bag is damaged.
    """
    wanted_infos = set(info_topics)
    connections = [
        c
        for c in bag.connections
        if c.msgtype in (TF, ODOMETRY)
        or (c.msgtype == CAMERA_INFO and c.topic in wanted_infos)
        or (labels is not None and c.id == labels.id)
    ]
    transforms, odometry = _Transforms(bag), []
    infos: dict[str, InfoTopic] = {}
    last_infos: dict[str, bytes] = {}
    label_entries = []
    for connection, log_ns, raw in bag.messages(connections) if connections else ():
        if connection.msgtype == TF:
            transforms.add(connection, log_ns, raw)
        elif connection.msgtype == ODOMETRY:
            odometry.append((connection, raw))
        elif connection.msgtype == CAMERA_INFO:
            entry = infos.setdefault(connection.topic, InfoTopic())
            stamp = message_stamp_ns(bag, connection, log_ns, raw)
            entry.stamps_ns.append(stamp)
            if last_infos.get(connection.topic) != raw[_AFTER_STAMP:]:
                last_infos[connection.topic] = raw[_AFTER_STAMP:]
                entry.calibrations.append((stamp, bag.decode(connection, raw)))
        else:
            label_entries.append((message_stamp_ns(bag, connection, log_ns, raw), log_ns))
    tree = transforms.tree(odometry)
    return BagIndex(tree, infos, label_entries, transforms.refused, transforms.history.changes())


def message_stamp_ns(bag: BagFile, connection: Connection, log_ns: int, raw: bytes) -> int:
    """A message's own stamp, or the time of recording where it has none or zero.

    Raises:
        BagError: the message is too short to hold its stamp.
    """
    try:
        if connection.msgtype in (MARKER_ARRAY, TF):
            stamp = raw_first_stamp_ns(raw)
        elif bag.has_header(connection):
            stamp = raw_stamp_ns(raw)
        else:
            stamp = None
    except (struct.error, IndexError) as error:
        raise BagError(
            f"{bag.path}: a message of {len(raw)} bytes on {connection.topic} is too short for "
            f"{connection.msgtype}; the recording is damaged"
        ) from error
    if not stamp and connection.msgtype == MARKER_ARRAY:
        markers = bag.decode(connection, raw).markers
        stamp = max((stamp_ns(marker.header) for marker in markers), default=0)
    return stamp or log_ns


class _Transforms:
    """Collects transforms; static ones are entered last, so that they win over time."""

    def __init__(self, bag: BagFile) -> None:
        self._bag = bag
        self._tree = TransformTree()
        self._static: dict[str, tuple[str, str, RigidTransform]] = {}
        self.history = StaticHistory()
        self._refused: dict[tuple[str, str, str], tuple[int, str]] = {}

    @property
    def refused(self) -> tuple[str, ...]:
        """One sentence per edge of which transforms were refused."""
        return tuple(
            f"{topic}: {count} of the transforms {parent!r} -> {child!r} left out: {error}"
            for (topic, parent, child), (count, error) in self._refused.items()
        )

    def add(self, connection: Connection, log_ns: int, raw: bytes) -> None:
        is_static = connection.topic.rstrip("/").endswith("tf_static")
        for entry in self._bag.decode(connection, raw).transforms:
            parent, child = entry.header.frame_id, entry.child_frame_id
            place, turn = entry.transform.translation, entry.transform.rotation
            numbers = place.x, place.y, place.z, turn.x, turn.y, turn.z, turn.w
            try:
                if is_static:
                    transform = transform_from_message(entry.transform)
                    self._static[child] = connection.topic, parent, transform
                    self.history.add(log_ns, parent, child, numbers)
                else:
                    self._tree.add_numbers(parent, child, stamp_ns(entry.header), numbers)
            except TransformError as error:
                self._refuse(connection.topic, parent, child, error)

    def tree(self, odometry: Sequence[tuple[Connection, bytes]]) -> TransformTree:
        """The finished tree."""
        for child, (topic, parent, transform) in self._static.items():
            try:
                self._tree.add_static(parent, child, transform)
            except TransformError as error:
                self._refuse(topic, parent, child, error)
        children = {child for _, child, _, _ in self._tree.edges()}
        sources: dict[str, str] = {}
        for connection, raw in odometry:
            message = self._bag.decode(connection, raw)
            parent, child = message.header.frame_id, message.child_frame_id.lstrip("/")
            if not parent or not child or child in children:
                continue
            if sources.setdefault(child, connection.topic) != connection.topic:
                continue
            try:
                place, turn = message.pose.pose.position, message.pose.pose.orientation
                numbers = place.x, place.y, place.z, turn.x, turn.y, turn.z, turn.w
                self._tree.add_numbers(parent, child, stamp_ns(message.header), numbers)
            except TransformError as error:
                self._refuse(connection.topic, parent, child, error)
        return self._tree

    def _refuse(self, topic: str, parent: str, child: str, error: TransformError) -> None:
        """The first one of an edge is told, the others counted."""
        count, text = self._refused.get((topic, parent, child), (0, str(error)))
        self._refused[topic, parent, child] = count + 1, text
