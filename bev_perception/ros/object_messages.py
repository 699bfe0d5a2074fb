# SPDX-License-Identifier: Apache-2.0
"""Objects as serialized vision_msgs/Detection3DArray and visualization_msgs/MarkerArray.

Every value comes from the function that bags are written with, so a recording of the live
topics and a bag of ``bev run`` hold the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from bev_perception.bags.markers import ADD, CUBE, DELETE_ALL, marker_color, object_text
from bev_perception.geometry import ObjectBox
from bev_perception.geometry.transform import quaternions
from bev_perception.ros.cdr import CdrWriter

_ORIGIN = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
_NO_COVARIANCE = (0.0,) * 36


def serialized_detections(stamp_ns: int, frame_id: str, boxes: Sequence[ObjectBox]) -> bytes:
    """One detection per box, which is in frame_id; ``id`` is the track's number."""
    writer, header = CdrWriter(), _header(stamp_ns, frame_id)
    writer.block(header)
    writer.integers(len(boxes))
    for box, pose in zip(boxes, _poses(boxes)):
        writer.block(header)
        writer.integers(1)
        writer.text(box.label)
        writer.doubles(box.score, *pose, *_NO_COVARIANCE, *pose, *box.size.tolist())
        writer.text(str(box.object_id))
    return writer.message()


def serialized_markers(stamp_ns: int, frame_id: str, boxes: Sequence[ObjectBox]) -> bytes:
    """DELETEALL, then one cube per box, which is in frame_id."""
    writer, header = CdrWriter(), _header(stamp_ns, frame_id)
    writer.integers(1 + len(boxes))
    unused = (*_ORIGIN, 1.0, 1.0, 1.0)
    _write_marker(writer, header, "", 0, DELETE_ALL, unused, (0.0, 0.0, 0.0, 0.0), "")
    for box, pose in zip(boxes, _poses(boxes)):
        cuboid = (*pose, *box.size.tolist())
        color, text = marker_color(box.label), object_text(box)
        _write_marker(writer, header, box.label, box.object_id, ADD, cuboid, color, text)
    return writer.message()


def _header(stamp_ns: int, frame_id: str) -> CdrWriter:
    header = CdrWriter()
    header.header(stamp_ns, frame_id)
    return header


def _poses(boxes: Sequence[ObjectBox]) -> list[tuple[float, ...]]:
    """x, y, z and the quaternion x, y, z, w of each box."""
    turns = quaternions([box.pose for box in boxes]).tolist()
    return [(*box.center.tolist(), *turn) for box, turn in zip(boxes, turns)]


def _write_marker(
    writer: CdrWriter,
    header: CdrWriter,
    label: str,
    number: int,
    action: int,
    cuboid: Sequence[float],
    color: Sequence[float],
    text: str,
) -> None:
    writer.block(header)
    writer.text(label)
    writer.integers(number, CUBE, action)
    writer.doubles(*cuboid)
    writer.floats(*color)
    writer.block(_before_text())
    writer.text(text)
    writer.block(_behind_text())


@cache
def _before_text() -> CdrWriter:
    """What a marker has between colour and text."""
    writer = CdrWriter()
    writer.integers(0, 0)  # lifetime
    writer.boolean(False)  # frame_locked
    writer.integers(0, 0)  # points, colors
    writer.text("")  # texture_resource
    writer.header(0, "")  # texture: header, format, data
    writer.text("")
    writer.integers(0)
    writer.integers(0)  # uv_coordinates
    return writer


@cache
def _behind_text() -> CdrWriter:
    """What a marker has after its text."""
    writer = CdrWriter()
    writer.text("")  # mesh_resource
    writer.text("")  # mesh_file: filename, data
    writer.integers(0)
    writer.boolean(False)  # mesh_use_embedded_materials
    return writer
