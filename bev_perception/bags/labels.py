# SPDX-License-Identifier: Apache-2.0
"""Labelled objects of a bag around the vehicle at any time."""

from __future__ import annotations

import struct
from contextlib import suppress

from bev_perception.bags.headers import NANOSECONDS
from bev_perception.bags.marker_rows import LAYOUT_TYPES, rows_from_bytes, rows_from_message
from bev_perception.bags.markers import marker_boxes
from bev_perception.bags.object_messages import boxes_from_detections, boxes_from_objects
from bev_perception.bags.rig_changes import RigChanges
from bev_perception.bags.stamped_topic import StampedTopic
from bev_perception.bags.typestore import DETECTIONS, MARKER_ARRAY, OBJECT_ARRAY
from bev_perception.bags.vehicle_frames import VehicleFrames
from bev_perception.errors import BevError
from bev_perception.geometry import RigidTransform
from bev_perception.geometry.box_arrays import BoxArrays
from bev_perception.geometry.transform_tree import OutOfRangeError

_DECODERS = {DETECTIONS: boxes_from_detections, OBJECT_ARRAY: boxes_from_objects}
_EGO_POINT = (0.0, 0.0, 0.5)
"""A point inside the vehicle itself, in its base frame."""


def objects_at(
    topic: StampedTopic,
    frames: VehicleFrames,
    changes: RigChanges,
    stamp_ns: int,
    tolerance_ns: int,
) -> BoxArrays | None:
    """Objects in the vehicle frame at a time, the vehicle itself left out.

    Taken from the message nearest in time and moved to the time asked for: by the ego motion
    where the pose is known, and by each object's own velocity.

    Returns:
        None when no message is within the tolerance, TF does not reach its time, or its frame lay
        otherwise then than is used; see RigChanges.

    Raises:
        BagError: TF does not connect a label's frame, or a label is impossible.
    """
    found = topic.nearest_raw(stamp_ns, tolerance_ns)
    if found is None:
        return None
    label_ns, raw = found
    names, boxes = _boxes(topic, raw)
    if changes:
        way = {each for name in {frames.base_frame, *names} for each in frames.tree.ancestors(name)}
        if not changes.stays(way, topic.log_ns(label_ns)):
            return None
    try:
        poses = {
            frame: frames.base_T_frame(frame, label_ns, topic.name) for frame in sorted(set(names))
        }
    except OutOfRangeError:
        return None
    boxes = _in_base(boxes, names, poses)
    own = boxes.contains(_EGO_POINT) & boxes.is_vehicle
    boxes = boxes.selected(~own)
    if label_ns == stamp_ns:
        return boxes
    delay_s = (stamp_ns - label_ns) / NANOSECONDS
    return boxes.moved(delay_s).transformed(frames.ego_motion(label_ns, stamp_ns))


def label_frames(topic: StampedTopic) -> list[str]:
    """Of the first message that can be read and labels anything; none where there is none."""
    for stamp_ns in topic.stamps_ns:
        with suppress(BevError):
            found = topic.nearest_raw(stamp_ns, 0)
            names = _boxes(topic, found[1])[0] if found else []
            if names:
                return sorted(set(names))
    return []


def _boxes(topic: StampedTopic, raw: bytes) -> tuple[list[str], BoxArrays]:
    """Frames and boxes, each in its frame, of a message."""
    if topic.msgtype != MARKER_ARRAY:
        labelled = _DECODERS[topic.msgtype](topic.decode(raw), topic.name)
        return [frame for frame, _ in labelled], BoxArrays.from_boxes([box for _, box in labelled])
    rows = None
    if topic.has_own_definitions(LAYOUT_TYPES):
        try:
            rows = rows_from_bytes(raw)
        except (struct.error, IndexError, UnicodeDecodeError):
            rows = None  # decoding says what is wrong with it
    return marker_boxes(rows_from_message(topic.decode(raw)) if rows is None else rows, topic.name)


def _in_base(boxes: BoxArrays, names: list[str], poses: dict[str, RigidTransform]) -> BoxArrays:
    if len(poses) == 1:
        (pose,) = poses.values()
        return boxes if pose == RigidTransform.identity() else boxes.transformed(pose)
    placed = zip(names, boxes.boxes())
    return BoxArrays.from_boxes([box.transformed(poses[frame]) for frame, box in placed])
