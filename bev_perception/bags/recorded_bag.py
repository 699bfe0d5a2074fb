# SPDX-License-Identifier: Apache-2.0
"""A bag with its images as they were recorded, for those who copy or judge them undecoded."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Connection

from bev_perception.bags.bag_file import about
from bev_perception.bags.bag_index import message_stamp_ns
from bev_perception.bags.bag_reader import BagReader
from bev_perception.bags.compressed_bytes import format_and_picture
from bev_perception.bags.compressed_images import mosaic_encoding
from bev_perception.bags.discovery import CameraTopics
from bev_perception.bags.raw_topic import is_tf_static
from bev_perception.bags.typestore import COMPRESSED_IMAGE


@dataclass(frozen=True, eq=False)
class RecordedImage:
    """One image message, not deserialized.

    Attributes:
        topics: of its camera.
        stamp_ns: of its header.
        log_ns: time of recording.
        connection, raw: the message.
    """

    topics: CameraTopics
    stamp_ns: int
    log_ns: int
    connection: Connection
    raw: bytes


class RecordedBag(BagReader):
    """A BagReader that also gives images undecoded, in whatever order their stamps are."""

    @property
    def storage(self) -> str:
        """``mcap`` or ``sqlite3``."""
        return self._bag.storage

    @property
    def has_static_transforms(self) -> bool:
        """Whether anything was recorded on /tf_static."""
        return any(is_tf_static(c.topic) and c.msgcount for c in self._bag.connections)

    def recorded_images(
        self, start_ns: int | None = None, stop_ns: int | None = None
    ) -> Iterator[RecordedImage]:
        """Images of all cameras in the order of recording.

        Args:
            start_ns, stop_ns: first time of recording, and the first one too late; default all.

        Raises:
            BagError: the bag is damaged, or has no cameras.
        """
        by_topic = {camera.image_topic: camera for camera in self.camera_topics.values()}
        connections = [c for c in self._bag.connections if c.topic in by_topic]
        for connection, log_ns, raw in self._bag.messages(connections, start_ns, stop_ns):
            stamp = message_stamp_ns(self._bag, connection, log_ns, raw)
            yield RecordedImage(by_topic[connection.topic], stamp, log_ns, connection, raw)

    def encoded(self, image: RecordedImage) -> bytes | None:
        """The JPEG or PNG that a CompressedImage holds, untouched.

        None where it is no picture of the scene: raw images, and mosaics of Bayer sensors.

        Raises:
            BagError: the message is damaged.
        """
        if not image.topics.compressed:
            return None
        found: tuple[str, bytes] | None = None
        if self._bag.has_own_definitions((COMPRESSED_IMAGE,)):
            with suppress(struct.error, IndexError, UnicodeDecodeError):  # decoding tells
                found = format_and_picture(image.raw)
        if found is None:
            message = self._bag.decode(image.connection, image.raw)
            found = message.format, message.data.tobytes()
        return None if mosaic_encoding(found[0]) else found[1]

    def decoded(self, image: RecordedImage) -> NDArray[np.uint8]:
        """(height, width, 3) uint8 RGB, perhaps a read-only view.

        Raises:
            BagError: it does not decode, or has another size than its calibration.
        """
        with about(self.path):
            return self._image(image.connection, image.raw, image.topics)
