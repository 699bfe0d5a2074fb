# SPDX-License-Identifier: Apache-2.0
"""Compressed parts of bags, unpacked only as far as they say and as memory should hold.

Thirty kilobytes of zstd can unpack to a gigabyte, and rosbags unpacks whatever comes. Its
decompressors are replaced by these when this module is imported.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rosbags.rosbag2 import reader, storage_mcap

zstd: Any = storage_mcap.zstd
_lz4: Any = import_module("lz4.frame")  # both are what rosbags itself uses, and brings

MAX_CHUNK_BYTES = 1 << 30
"""Of an unpacked chunk of mcap, or of one message; recorders begin a new chunk after megabytes."""

MAX_FILE_RATIO = 2000
"""Of an unpacked storage file to its packed form, the most that zstd makes of camera images."""

_BLOCK = 1 << 20


class TooLargeError(ValueError):
    """Compressed data unpack to more than they say, or than is taken."""


def unpacked_zstd(data: bytes, limit: int = MAX_CHUNK_BYTES) -> bytes:
    """All of one or several zstd frames.

    Raises:
        TooLargeError: it is more than ``limit`` bytes.
        Exception: zstd's own, on damaged data.
    """
    parts, size = [], 0
    while data:
        unpacker = zstd.ZstdDecompressor()
        part = unpacker.decompress(data, max_length=limit + 1 - size)
        parts.append(part)
        size += len(part)
        if size > limit:
            raise TooLargeError(f"compression: {limit} bytes are not enough for what it unpacks to")
        if not unpacker.eof:
            raise ValueError("compression: the data end too early")
        data = unpacker.unused_data
    return parts[0] if len(parts) == 1 else b"".join(parts)


def unpacked_lz4(data: bytes, limit: int = MAX_CHUNK_BYTES) -> bytes:
    """An lz4 frame; see unpacked_zstd."""
    unpacker = _lz4.LZ4FrameDecompressor()
    content: bytes = unpacker.decompress(data, max_length=limit + 1)
    if len(content) > limit:
        raise TooLargeError(f"compression: {limit} bytes are not enough for what it unpacks to")
    if not unpacker.eof:
        raise ValueError("compression: the data end too early")
    return content


def check_packed_file(path: Path) -> None:
    """Refuses a storage file that unpacks to more than a recording can; it is read through once.

    Raises:
        TooLargeError: it does.
        Exception: zstd's own, on damaged data.
    """
    limit = max(MAX_CHUNK_BYTES, MAX_FILE_RATIO * path.stat().st_size)
    size = 0
    with zstd.open(path, "rb") as file:
        while block := file.read(_BLOCK):
            size += len(block)
            if size > limit:
                raise TooLargeError(
                    f"compression: {path.name} unpacks to more than {limit >> 20} MiB"
                )


def check_chunks(chunks: list[Any]) -> None:
    """Refuses an index of chunks of which too many would be in memory at once.

    rosbags holds all chunks whose times overlap unpacked while it merges them.

    Args:
        chunks: of rosbags' mcap reader.

    Raises:
        TooLargeError: they would take more than four times MAX_CHUNK_BYTES, or several entries
            are of one place in the file.
    """
    places = {chunk.chunk_start_offset for chunk in chunks}
    if len(places) < len(chunks):
        raise TooLargeError("compression: its index names one chunk several times")
    events = sorted(
        event
        for chunk in chunks
        for event in (
            (chunk.message_start_time, 0, chunk.uncompressed_size),
            (max(chunk.message_end_time, chunk.message_start_time), 1, -chunk.uncompressed_size),
        )
    )
    held = 0
    for _, _, change in events:
        held += change
        if held > 4 * MAX_CHUNK_BYTES:
            raise TooLargeError("compression: chunks that overlap in time unpack to too much")


def _chunk_limit(size: int) -> int:
    if size > MAX_CHUNK_BYTES:
        raise TooLargeError(f"compression: a chunk says that it unpacks to {size} bytes")
    return size


storage_mcap.DECOMPRESSORS["zstd"] = lambda data, size: unpacked_zstd(data, _chunk_limit(size))
storage_mcap.DECOMPRESSORS["lz4"] = lambda data, size: unpacked_lz4(data, _chunk_limit(size))
if hasattr(reader, "zstd"):
    bounded: Any = SimpleNamespace(decompress=unpacked_zstd, open=zstd.open)
    reader.zstd = bounded
