# SPDX-License-Identifier: Apache-2.0
"""Objects as visualization_msgs/MarkerArray cubes: class in ns, the rest in text.

One message is one snapshot: its cubes are all objects of that moment. Inside a message the
actions apply in order, so a leading DELETEALL clears what RViz still shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from bev_perception.bags.headers import make_duration, make_header, make_time
from bev_perception.bags.poses import make_vector, pose_from_message, pose_to_message
from bev_perception.bags.typestore import MARKER_ARRAY, message_class
from bev_perception.errors import BagError, BevError
from bev_perception.geometry import ObjectBox, RigidTransform
from bev_perception.geometry.class_names import object_class

CUBE = 1
ADD, DELETE, DELETE_ALL = 0, 2, 3
"""Values of visualization_msgs/Marker.type (the line above) and .action."""

_COLORS = {
    "pedestrian": (0.95, 0.35, 0.20),
    "bicycle": (0.20, 0.75, 0.95),
    "motorcycle": (0.20, 0.55, 0.95),
    "truck": (0.95, 0.75, 0.15),
    "bus": (0.85, 0.55, 0.95),
}
_DEFAULT_COLOR = (0.25, 0.85, 0.35)


def boxes_from_markers(message: Any, topic: str) -> list[tuple[str, ObjectBox]]:
    """(frame_id, box in that frame) of every cube that the message leaves standing.

    Raises:
        BagError: a cube without size or with an impossible pose.
    """
    standing: dict[tuple[str, int], Any] = {}
    for marker in message.markers:
        key = (marker.ns, int(marker.id))
        if marker.action == DELETE_ALL:
            standing.clear()
        elif marker.action == DELETE:
            standing.pop(key, None)
        elif marker.action == ADD and marker.type == CUBE:
            standing[key] = marker
    return [_box(marker, topic) for marker in standing.values()]


def boxes_to_markers(stamp_ns: int, frame_id: str, boxes: Iterable[ObjectBox]) -> Any:
    """MarkerArray: DELETEALL, then one cube per box."""
    markers = [_marker(stamp_ns, frame_id, action=DELETE_ALL)]
    for box in boxes:
        color = marker_color(box.label)
        marker = _marker(stamp_ns, frame_id, box.label, box.object_id, box.pose, box.size, color)
        marker.text = object_text(box)
        markers.append(marker)
    return message_class(MARKER_ARRAY)(markers)


def marker_color(label: str) -> tuple[float, float, float, float]:
    """Red, green, blue, alpha in 0..1 of a class's cubes."""
    return (*_COLORS.get(label, _DEFAULT_COLOR), 0.5)


def object_text(box: ObjectBox) -> str:
    """What a marker has no field for: ``visibility=0.83 vx=1.20 vy=0.00 vz=0.00``.

    Visibility is left out when unknown, the score when it is 1.
    """
    values = {"visibility": f"{box.visibility:.4f}"} if not math.isnan(box.visibility) else {}
    velocity = zip(("vx", "vy", "vz"), box.velocity.tolist())
    values |= {name: f"{value:.4f}" for name, value in velocity}
    if box.score != 1.0:
        values["score"] = f"{box.score:.4f}"
    return " ".join(f"{name}={value}" for name, value in values.items())


def text_values(text: str) -> dict[str, float]:
    """Numbers of ``name=value`` words; other words are skipped."""
    values = {}
    for word in text.split():
        name, separator, value = word.partition("=")
        try:
            if separator:
                values[name] = float(value)
        except ValueError:
            continue
    return values


def _box(marker: Any, topic: str) -> tuple[str, ObjectBox]:
    values = text_values(marker.text)
    try:
        box = ObjectBox(
            label=object_class(marker.ns),
            object_id=int(marker.id),
            pose=pose_from_message(marker.pose),
            size=np.array([marker.scale.x, marker.scale.y, marker.scale.z]),
            velocity=np.array([values.get(name, 0.0) for name in ("vx", "vy", "vz")]),
            visibility=values.get("visibility", float("nan")),
            score=values.get("score", 1.0),
        )
    except BevError as error:
        raise BagError(f"{topic}: marker {marker.ns!r} {marker.id}: {error}") from error
    return marker.header.frame_id.lstrip("/"), box


def _marker(
    stamp_ns: int,
    frame_id: str,
    label: str = "",
    marker_id: int = 0,
    pose: RigidTransform | None = None,
    size: Sequence[float] | np.ndarray = (1.0, 1.0, 1.0),
    color: Sequence[float] = (0.0, 0.0, 0.0, 0.0),
    action: int = ADD,
) -> Any:
    """A visualization_msgs/Marker cube that stays until it is deleted."""
    types = message_class
    no_bytes = np.zeros(0, dtype=np.uint8)
    no_texture = types("sensor_msgs/msg/CompressedImage")(
        types("std_msgs/msg/Header")(make_time(0), ""), "", no_bytes
    )
    return types("visualization_msgs/msg/Marker")(
        header=make_header(stamp_ns, frame_id),
        ns=label,
        id=marker_id,
        type=CUBE,
        action=action,
        pose=pose_to_message(pose or RigidTransform.identity()),
        scale=make_vector(size),
        color=types("std_msgs/msg/ColorRGBA")(*color),
        lifetime=make_duration(0.0),
        frame_locked=False,
        points=[],
        colors=[],
        texture_resource="",
        texture=no_texture,
        uv_coordinates=[],
        text="",
        mesh_resource="",
        mesh_file=types("visualization_msgs/msg/MeshFile")("", no_bytes),
        mesh_use_embedded_materials=False,
    )
