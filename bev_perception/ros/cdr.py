# SPDX-License-Identifier: Apache-2.0
"""Messages written straight into CDR, the bytes that go over the wire.

For messages of many small parts. rclpy wants an object for every part, looks at each of its
fields, and then writes the same bytes: several times the work, and all of it in the
interpreter.
"""

from __future__ import annotations

from functools import cache
from struct import Struct

from bev_perception.bags.headers import NANOSECONDS

_LITTLE_ENDIAN = b"\x00\x01\x00\x00"
"""The encapsulation of plain CDR; positions count from behind it."""


class CdrWriter:
    """Values one after the other, each aligned to its own size."""

    def __init__(self) -> None:
        self._data = bytearray()

    def message(self) -> bytes:
        """What was written, ready to be published."""
        return _LITTLE_ENDIAN + self._data

    def header(self, stamp_ns: int, frame_id: str) -> None:
        """A std_msgs/Header."""
        self.integers(*divmod(stamp_ns, NANOSECONDS))
        self.text(frame_id)

    def integers(self, *values: int) -> None:
        """int32 each; also the length before a sequence."""
        self._align(4)
        self._data += _struct("i", len(values)).pack(*values)

    def floats(self, *values: float) -> None:
        """float32 each."""
        self._align(4)
        self._data += _struct("f", len(values)).pack(*values)

    def doubles(self, *values: float) -> None:
        """float64 each."""
        self._align(8)
        self._data += _struct("d", len(values)).pack(*values)

    def boolean(self, value: bool) -> None:
        """One byte."""
        self._data.append(value)

    def text(self, value: str) -> None:
        """A string: its length, its bytes and a zero."""
        data = value.encode() + b"\0"
        self.integers(len(data))
        self._data += data

    def block(self, other: CdrWriter) -> None:
        """What another writer holds, which must need no larger alignment than 4."""
        self._align(4)
        self._data += other._data

    def _align(self, size: int) -> None:
        self._data += bytes(-len(self._data) % size)


@cache
def _struct(code: str, count: int) -> Struct:
    return Struct(f"<{count}{code}")
