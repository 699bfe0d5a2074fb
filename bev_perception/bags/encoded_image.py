# SPDX-License-Identifier: Apache-2.0
"""What the bytes of a JPEG or PNG tell without being decoded."""

from __future__ import annotations

import struct
import zlib

_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
TAIL = 4096
"""Bytes behind a JPEG's end that some cameras add."""

_SIZE_MARKERS = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC)))
_BARE_MARKERS = frozenset((0x01, *range(0xD0, 0xD8)))


def encoded_suffix(data: bytes) -> str | None:
    """``jpg`` or ``png`` by the first bytes, None for anything else."""
    if data.startswith(_JPEG_START):
        return "jpg"
    return "png" if data.startswith(_PNG_START) else None


def is_cut_off(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end; decoders fill what is missing with grey.

    Drivers that send their whole buffer fill it up with zeros; these do not count.
    """
    tail = data.rstrip(b"\0")[-TAIL:]
    return _JPEG_END not in tail and _PNG_END not in tail


def encoded_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels of a JPEG or PNG that is there to its end.

    None where the bytes are none, are cut off, or begin without telling a size. What lies
    between beginning and end is not looked at.
    """
    try:
        if data.startswith(_PNG_START):
            width, height = struct.unpack_from(">II", data, 16)
            return None if is_cut_off(data) else (width, height)
        if data.startswith(_JPEG_START) and not is_cut_off(data):
            return _jpeg_size(data)
    except struct.error:
        pass  # shorter than its own header
    return None


def is_damaged_png(data: bytes) -> bool:
    """Whether a PNG that begins and ends as one is damaged between: decoders then give nothing.

    By the lengths and checksums of the chunks that pixels are made of; False for a JPEG, which
    has none. Needs no decoding, some 1 ms per MB.
    """
    if not data.startswith(_PNG_START):
        return False
    view, place, kind = memoryview(data), len(_PNG_START), b""
    while kind != b"IEND":
        if place + 12 > len(data):
            return True
        (length,) = struct.unpack_from(">I", data, place)
        kind = data[place + 4 : place + 8]
        end = place + 8 + length
        if end + 4 > len(data):
            return True
        is_needed = kind[:1].isupper()
        if (
            is_needed
            and zlib.crc32(view[place + 4 : end]) != struct.unpack_from(">I", data, end)[0]
        ):
            return True
        place = end + 4
    return False


def declared_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) that the beginning of a JPEG or PNG tells, whether the rest is there or not.

    None where it tells none.
    """
    try:
        if data.startswith(_PNG_START):
            width, height = struct.unpack_from(">II", data, 16)
            return width, height
        return _jpeg_size(data) if data.startswith(_JPEG_START) else None
    except struct.error:
        return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    place = 2
    while data[place : place + 1] == b"\xff":
        while data[place + 1 : place + 2] == b"\xff":  # any number may fill up before a marker
            place += 1
        marker, length = struct.unpack_from(">BH", data, place + 1)
        if marker in _SIZE_MARKERS:
            height, width = struct.unpack_from(">HH", data, place + 5)
            return width, height
        place += 2 if marker in _BARE_MARKERS else 2 + length
    return None
