# SPDX-License-Identifier: Apache-2.0
"""Stamps and headers of messages."""

from __future__ import annotations

import struct
from typing import Any

from bev_perception.bags.typestore import message_class

NANOSECONDS = 1_000_000_000

_CDR_PREFIX = 4
BEHIND_STAMP = _CDR_PREFIX + 8
"""Where a serialized message that begins with a Header goes on behind its stamp."""

_LITTLE_STAMP, _BIG_STAMP = struct.Struct("<iI"), struct.Struct(">iI")
_LITTLE_COUNT, _BIG_COUNT = struct.Struct("<I"), struct.Struct(">I")


def make_time(stamp_ns: int) -> Any:
    """builtin_interfaces/Time of integer nanoseconds."""
    seconds, nanoseconds = divmod(int(stamp_ns), NANOSECONDS)
    return message_class("builtin_interfaces/msg/Time")(seconds, nanoseconds)


def make_duration(seconds: float) -> Any:
    """builtin_interfaces/Duration of a number of seconds."""
    whole, fraction = divmod(round(seconds * NANOSECONDS), NANOSECONDS)
    return message_class("builtin_interfaces/msg/Duration")(whole, fraction)


def make_header(stamp_ns: int, frame_id: str) -> Any:
    """std_msgs/Header."""
    return message_class("std_msgs/msg/Header")(make_time(stamp_ns), frame_id)


def stamp_ns(header: Any) -> int:
    """Integer nanoseconds of a header's stamp."""
    return int(header.stamp.sec) * NANOSECONDS + int(header.stamp.nanosec)


def raw_stamp_ns(raw: bytes, offset: int = 0) -> int:
    """Stamp at a byte offset of a serialized message, by default of its leading header.

    Reads it without decoding the message, which for images is most of the work.

    Raises:
        struct.error: the message is too short.
    """
    unpack = _LITTLE_STAMP if raw[1] & 1 else _BIG_STAMP
    seconds, nanoseconds = unpack.unpack_from(raw, _CDR_PREFIX + offset)
    return int(seconds) * NANOSECONDS + int(nanoseconds)


def raw_first_stamp_ns(raw: bytes) -> int | None:
    """Stamp of the first element of a message that is one list of elements with headers.

    Such are TFMessage and MarkerArray. None for an empty list.
    """
    count = _LITTLE_COUNT if raw[1] & 1 else _BIG_COUNT
    (length,) = count.unpack_from(raw, _CDR_PREFIX)
    return raw_stamp_ns(raw, offset=4) if length else None
