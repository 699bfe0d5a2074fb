# SPDX-License-Identifier: Apache-2.0
"""Objects as vision_msgs/Detection3DArray and derived_object_msgs/ObjectArray, to boxes."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.bags.poses import pose_from_message, vector_from_message
from bev_perception.errors import BagError, BevError
from bev_perception.geometry import ObjectBox, RigidTransform
from bev_perception.geometry.class_names import UNKNOWN, object_class
from bev_perception.geometry.usual_sizes import is_possible_size, usual_size

_BOX, _SPHERE, _CYLINDER = 1, 2, 3
_LARGEST = (1 << 63) - 1

OBJECT_ARRAY_CLASSES = {
    4: "pedestrian",
    5: "bicycle",
    6: "car",
    7: "truck",
    8: "motorcycle",
    9: "car",
    10: "barrier",
}
"""derived_object_msgs/Object.classification; 9 is "other vehicle", which must count as one."""


def boxes_from_detections(message: Any, topic: str) -> list[tuple[str, ObjectBox]]:
    """(frame_id, box in that frame) of a vision_msgs/Detection3DArray, by the best class.

    The message has no field for velocities; they are unknown.

    Raises:
        BagError: a detection without size or with an impossible pose.
    """
    boxes = []
    for index, detection in enumerate(message.detections):
        name, score = _best_hypothesis(detection.results)
        identifier = getattr(detection, "id", "") or getattr(detection, "tracking_id", "")
        try:
            box = ObjectBox(
                label=object_class(name),
                object_id=_number(identifier) if identifier else index,
                pose=pose_from_message(detection.bbox.center),
                size=vector_from_message(detection.bbox.size),
                score=score,
            )
        except BevError as error:
            raise BagError(f"{topic}: detection {index} ({name}): {error}") from error
        frame = detection.header.frame_id or message.header.frame_id
        boxes.append((frame.lstrip("/"), box))
    return boxes


def boxes_from_objects(message: Any, topic: str) -> list[tuple[str, ObjectBox]]:
    """(frame_id, box in that frame) of a derived_object_msgs/ObjectArray.

    carla_ros_bridge gives the actor's origin as pose, which for vehicles lies on the ground:
    on its topics (``/carla/...``) vehicles are raised by half their height, and impossible
    sizes, which some of its two-wheelers have, become the class's usual one.

    Raises:
        BagError: an object without a shape or with an impossible pose.
    """
    boxes, is_carla = [], topic.startswith("/carla/")
    for item in message.objects:
        label = OBJECT_ARRAY_CLASSES.get(int(item.classification), UNKNOWN)
        try:
            size = _shape_size(item.shape)
            if is_carla and not is_possible_size(size):
                size = usual_size(label)
            box = ObjectBox(
                label=label,
                object_id=int(item.id),
                pose=pose_from_message(item.pose),
                size=size,
                velocity=vector_from_message(item.twist.linear),
            )
        except BevError as error:
            raise BagError(f"{topic}: object {item.id}: {error}") from error
        if is_carla and box.is_vehicle:
            lift = RigidTransform(np.eye(3), np.array([0.0, 0.0, box.size[2] / 2.0]))
            box = replace(box, pose=box.pose @ lift)
        frame = item.header.frame_id or message.header.frame_id
        boxes.append((frame.lstrip("/"), box))
    return boxes


def _best_hypothesis(results: Any) -> tuple[str, float]:
    """Class name and score; vision_msgs before version 3 has them without a sub-message."""
    named = []
    for result in results:
        hypothesis = getattr(result, "hypothesis", result)
        name = getattr(hypothesis, "class_id", None)
        named.append((str(hypothesis.id if name is None else name), float(hypothesis.score)))
    return max(named, key=lambda entry: entry[1], default=(UNKNOWN, 1.0))


def _number(identifier: str) -> int:
    """A stable integer of 64 bits for an identifier, which may be any text."""
    try:
        number = int(identifier)
    except ValueError:
        number = _LARGEST + 1
    return number if abs(number) <= _LARGEST else zlib.crc32(identifier.encode()) & 0x7FFFFFFF


def _shape_size(shape: Any) -> NDArray[np.float64]:
    """(3,) length, width, height of a shape_msgs/SolidPrimitive."""
    dimensions = [float(value) for value in shape.dimensions]
    if shape.type == _BOX and len(dimensions) >= 3:
        return np.array(dimensions[:3])
    if shape.type == _SPHERE and dimensions:
        return np.full(3, 2.0 * dimensions[0])
    if shape.type == _CYLINDER and len(dimensions) >= 2:
        height, radius = dimensions[:2]
        return np.array([2.0 * radius, 2.0 * radius, height])
    raise BagError(f"shape of type {shape.type} with dimensions {dimensions} gives no box")
