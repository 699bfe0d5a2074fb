# SPDX-License-Identifier: Apache-2.0
"""What matters of the markers of a MarkerArray, from the message or straight from its bytes.

Markers have thirty fields, of which boxes need eight. Deserializing all of them takes most of
the time of reading labels; the bytes tell the eight in a tenth of it.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

MARKER = "visualization_msgs/msg/Marker"
LAYOUT_TYPES = (
    MARKER,
    "visualization_msgs/msg/MeshFile",
    "visualization_msgs/msg/UVCoordinate",
    "sensor_msgs/msg/CompressedImage",
)
"""Types whose definitions rows_from_bytes relies on; older ROS 2 had others."""

_BASE = 4
"""Alignment counts from behind the encapsulation header."""

_STAMP = 8
_COUNT = struct.Struct("<I")
_FIELDS = struct.Struct("<3i10d16x8x?"), struct.Struct("<3i4x10d16x8x?")
"""id, type, action, pose, scale, color, lifetime, frame_locked; with a gap where id is aligned."""

_NO_TEXT = b"\x01\0\0\0\0\0\0\0"
"""An empty string and what aligns the next count."""

_NO_POINTS = bytes(8) + _NO_TEXT + bytes(_STAMP) + 2 * _NO_TEXT + bytes(8)
_NO_MESH = 2 * _NO_TEXT + bytes(4)


class MarkerRow(NamedTuple):
    """One marker.

    Attributes:
        frame_id: without a leading slash.
        ns, id, type, action, text: as in the message.
        pose: position x, y, z and quaternion x, y, z, w.
        scale: x, y, z.
    """

    frame_id: str
    ns: str
    id: int
    type: int
    action: int
    pose: tuple[float, ...]
    scale: tuple[float, ...]
    text: str


def rows_from_message(message: Any) -> list[MarkerRow]:
    """All markers of a visualization_msgs/MarkerArray."""
    rows = []
    for marker in message.markers:
        place, turn = marker.pose.position, marker.pose.orientation
        rows.append(
            MarkerRow(
                marker.header.frame_id.lstrip("/"),
                marker.ns,
                int(marker.id),
                int(marker.type),
                int(marker.action),
                (place.x, place.y, place.z, turn.x, turn.y, turn.z, turn.w),
                (marker.scale.x, marker.scale.y, marker.scale.z),
                marker.text,
            )
        )
    return rows


def rows_from_bytes(raw: bytes) -> list[MarkerRow] | None:
    """All markers of a serialized MarkerArray; None where another byte order must be decoded.

    Raises:
        struct.error, IndexError, UnicodeDecodeError: the message is damaged.
    """
    if not raw[1] & 1:
        return None
    rows = []
    names: dict[bytes, str] = {}  # frames and classes, of which there are few
    count_at = _COUNT.unpack_from
    (count,) = count_at(raw, _BASE)
    place = _BASE + 4
    for _ in range(count):
        start = place + -place % 4 + _STAMP
        place = start + 4 + count_at(raw, start)[0]
        frame_id = _known(raw[start + 4 : place - 1], names).lstrip("/")
        start = place + -place % 4
        place = start + 4 + count_at(raw, start)[0]
        namespace = _known(raw[start + 4 : place - 1], names)
        place += -place % 4
        fields = _FIELDS[(place - _BASE) % 8 == 0]
        identity, kind, action, *body, _ = fields.unpack_from(raw, place)
        place += fields.size
        place = _behind_points(raw, place + -place % 4)
        (length,) = count_at(raw, place)
        start, place = place + 4, place + 4 + length
        text = raw[start : place - 1].decode()
        place = _behind_mesh(raw, place + -place % 4)
        pose, scale = tuple(body[:7]), tuple(body[7:])
        rows.append(MarkerRow(frame_id, namespace, identity, kind, action, pose, scale, text))
    if place > len(raw):
        raise IndexError("the message ends within a marker")
    return rows


def _known(name: bytes, names: dict[bytes, str]) -> str:
    """A name as text, decoded once."""
    text = names.get(name)
    if text is None:
        text = names[name] = name.decode()
    return text


def _behind_points(raw: bytes, place: int) -> int:
    """Behind points, colors, texture_resource, texture and uv_coordinates."""
    if raw.startswith(_NO_POINTS, place):  # as in nearly every cube
        return place + len(_NO_POINTS)
    place = _skip(raw, place, 24, 8)  # points
    place = _skip(raw, place, 16, 4)  # colors
    place = _skip(raw, place)  # texture_resource
    place = _skip(raw, _aligned(place, 4) + _STAMP)  # texture's frame_id
    place = _skip(raw, _skip(raw, place))  # its format and data
    return _skip(raw, place, 8, 4)  # uv_coordinates


def _behind_mesh(raw: bytes, place: int) -> int:
    """Behind mesh_resource, mesh_file and mesh_use_embedded_materials."""
    if raw.startswith(_NO_MESH, place):
        return place + len(_NO_MESH) + 1
    return _skip(raw, _skip(raw, _skip(raw, place))) + 1


def _aligned(place: int, size: int) -> int:
    return place + (_BASE - place) % size


def _skip(raw: bytes, place: int, size: int = 1, alignment: int = 1) -> int:
    """Behind a string or sequence of elements of a size."""
    place += -place % 4
    (length,) = _COUNT.unpack_from(raw, place)
    place += 4
    return _aligned(place, alignment) + size * length if length else place
