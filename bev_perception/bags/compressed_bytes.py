# SPDX-License-Identifier: Apache-2.0
"""The picture in a serialized CompressedImage, found without deserializing the message."""

from __future__ import annotations

import struct

_COUNT = struct.Struct("<I")
_BEHIND_STAMP = 12
"""Encapsulation header and stamp."""


def picture_bytes(raw: bytes) -> bytes | None:
    """The bytes of the JPEG or PNG; None where another byte order must be decoded.

    Args:
        raw: a sensor_msgs/CompressedImage as ROS 2 defines it.

    Raises:
        struct.error, IndexError: the message is damaged.
    """
    if not raw[1] & 1:
        return None
    place = _BEHIND_STAMP
    for _ in range(2):  # frame_id and format
        (length,) = _COUNT.unpack_from(raw, place)
        place += 4 + length
        place += -place % 4
    (length,) = _COUNT.unpack_from(raw, place)
    place += 4
    if place + length > len(raw):
        raise IndexError("the message ends within the picture")
    return raw[place : place + length]
