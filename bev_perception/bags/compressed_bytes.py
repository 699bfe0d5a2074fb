# SPDX-License-Identifier: Apache-2.0
"""Format and picture in a serialized CompressedImage, found without deserializing the message."""

from __future__ import annotations

import struct

_COUNT = struct.Struct("<I")
_BEHIND_STAMP = 12
"""Encapsulation header and stamp."""


def format_and_picture(raw: bytes) -> tuple[str, bytes] | None:
    """Format, and the bytes of the JPEG or PNG; None where another byte order must be decoded.

    Args:
        raw: a sensor_msgs/CompressedImage as ROS 2 defines it.

    Raises:
        struct.error, IndexError, UnicodeDecodeError: the message is damaged.
    """
    if not raw[1] & 1:
        return None
    place, text = _BEHIND_STAMP, b""
    for _ in range(2):  # frame_id and format
        (length,) = _COUNT.unpack_from(raw, place)
        text = raw[place + 4 : place + 3 + length]
        place += 4 + length
        place += -place % 4
    (length,) = _COUNT.unpack_from(raw, place)
    place += 4
    if place + length > len(raw):
        raise IndexError("the message ends within the picture")
    return text.decode(), raw[place : place + length]
