# SPDX-License-Identifier: Apache-2.0
"""Objects as visualization_msgs/MarkerArray cubes: class in ns, the rest in text.

One message is one snapshot: its cubes are all objects of that moment. Inside a message the
actions apply in order, so a leading DELETEALL clears what RViz still shows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import numpy as np
from scipy.spatial.transform import Rotation

from bev_perception.bags.headers import make_duration, make_header, make_time
from bev_perception.bags.marker_rows import MarkerRow, rows_from_message
from bev_perception.bags.poses import make_vector, pose_to_message
from bev_perception.bags.typestore import MARKER_ARRAY, message_class
from bev_perception.errors import BagError, BevError
from bev_perception.geometry import ObjectBox, RigidTransform
from bev_perception.geometry.box_arrays import BoxArrays
from bev_perception.geometry.class_names import object_class
from bev_perception.geometry.transform import QUATERNION_NORM_TOLERANCE

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

_VELOCITY, _UNTOLD = ("vx", "vy", "vz"), (math.nan, math.nan, 0.0)
_NUMBER = r"(-?\d+\.\d+)"
_USUAL_TEXT = re.compile(rf"visibility={_NUMBER} vx={_NUMBER} vy={_NUMBER} vz={_NUMBER}")
"""As object_text writes it of an object that was seen."""


def boxes_from_markers(message: Any, topic: str) -> list[tuple[str, ObjectBox]]:
    """(frame_id, box in that frame) of every cube that the message leaves standing.

    Raises:
        BagError: a cube without size or with an impossible pose.
    """
    frames, arrays = marker_boxes(rows_from_message(message), topic)
    return list(zip(frames, arrays.boxes()))


def marker_boxes(rows: Iterable[MarkerRow], topic: str) -> tuple[list[str], BoxArrays]:
    """Frames (N,) and boxes, each in its frame, of every cube that the markers leave standing.

    Raises:
        BagError: a cube without size or with an impossible pose.
    """
    standing: dict[tuple[str, int], MarkerRow] = {}
    for row in rows:
        if row.action == DELETE_ALL:
            standing.clear()
        elif row.action == DELETE:
            standing.pop((row.ns, row.id), None)
        elif row.action == ADD and row.type == CUBE:
            standing[row.ns, row.id] = row
    cubes = list(standing.values())
    numbers = np.array([row.pose + row.scale for row in cubes], dtype=np.float64).reshape(-1, 10)
    poses, sizes = numbers[:, :7], numbers[:, 7:]
    with np.errstate(invalid="ignore", over="ignore"):
        norms = np.linalg.norm(poses[:, 3:], axis=1)
        possible = np.isfinite(poses).all(axis=1) & (sizes > 0.0).all(axis=1)
        possible &= (sizes < math.inf).all(axis=1)
        possible &= np.abs(norms - 1.0) <= QUATERNION_NORM_TOLERANCE
    if not possible.all():
        _refuse(cubes[int(np.argmin(possible))], topic)
    texts = np.array([_told(row.text) for row in cubes], dtype=np.float64).reshape(-1, 5)
    rotations = Rotation.from_quat(poses[:, 3:]).as_matrix() if cubes else np.zeros((0, 3, 3))
    arrays = BoxArrays(
        labels=tuple(object_class(row.ns) for row in cubes),
        object_ids=np.array([row.id for row in cubes], dtype=np.int64),
        rotations=rotations,
        centers=poses[:, :3],
        sizes=sizes,
        velocities=texts[:, 1:4],
        visibilities=texts[:, 0],
        scores=texts[:, 4],
    )
    return [row.frame_id for row in cubes], arrays


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

    Visibility and velocity are left out when unknown, the score when it is 1.
    """
    values = {"visibility": f"{box.visibility:.4f}"} if not math.isnan(box.visibility) else {}
    velocity = dict(zip(_VELOCITY, box.velocity.tolist()))
    if not any(map(math.isnan, velocity.values())):
        values |= {name: f"{value:.4f}" for name, value in velocity.items()}
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


def _told(text: str) -> tuple[float, ...]:
    """Visibility, velocity x, y, z and score by a marker's text.

    A velocity without vz is one in the plane, one without vx or vy is unknown. Infinite ones
    stay, for those who refuse them.
    """
    usual = _USUAL_TEXT.fullmatch(text)
    if usual is not None:
        visibility, x, y, z = map(float, usual.groups())
        return visibility, x, y, z, 1.0
    values = text_values(text)
    velocity = [values.get(name, other) for name, other in zip(_VELOCITY, _UNTOLD)]
    if any(map(math.isnan, velocity)) and not any(map(math.isinf, velocity)):
        velocity = [math.nan] * 3
    return values.get("visibility", math.nan), *velocity, values.get("score", 1.0)


def _refuse(row: MarkerRow, topic: str) -> NoReturn:
    """Says what makes a cube impossible, as ObjectBox does."""
    try:
        pose = RigidTransform.from_quaternion(row.pose[3:], row.pose[:3])
        ObjectBox(object_class(row.ns), row.id, pose, np.array(row.scale))
    except BevError as error:
        raise BagError(f"{topic}: marker {row.ns!r} {row.id}: {error}") from error
    raise BagError(f"{topic}: marker {row.ns!r} {row.id} is impossible")


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
