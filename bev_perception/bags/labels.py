# SPDX-License-Identifier: Apache-2.0
"""Labelled objects of a bag around the vehicle at any time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bev_perception.bags.headers import NANOSECONDS
from bev_perception.bags.markers import boxes_from_markers
from bev_perception.bags.object_messages import boxes_from_detections, boxes_from_objects
from bev_perception.bags.stamped_topic import StampedTopic
from bev_perception.bags.typestore import DETECTIONS, MARKER_ARRAY, OBJECT_ARRAY
from bev_perception.bags.vehicle_frames import VehicleFrames
from bev_perception.geometry import ObjectBox, RigidTransform
from bev_perception.geometry.transform_tree import OutOfRangeError

_DECODERS = {
    MARKER_ARRAY: boxes_from_markers,
    DETECTIONS: boxes_from_detections,
    OBJECT_ARRAY: boxes_from_objects,
}
_EGO_POINT = (0.0, 0.0, 0.5)
"""A point inside the vehicle itself, in its base frame."""


def objects_at(
    topic: StampedTopic, frames: VehicleFrames, stamp_ns: int, tolerance_ns: int
) -> tuple[ObjectBox, ...] | None:
    """Objects in the vehicle frame at a time, the vehicle itself left out.

    Taken from the message nearest in time and moved to the time asked for: by the ego motion
    where the pose is known, and by each object's own velocity.

    Returns:
        None when no message is within the tolerance or TF does not reach its time.

    Raises:
        BagError: TF does not connect a label's frame, or a label is impossible.
    """
    found = topic.nearest(stamp_ns, tolerance_ns)
    if found is None:
        return None
    label_ns, message = found
    labelled = _DECODERS[topic.msgtype](message, topic.name)
    try:
        poses = {
            frame: frames.base_T_frame(frame, label_ns, topic.name)
            for frame in sorted({frame for frame, _ in labelled})
        }
    except OutOfRangeError:
        return None
    motion = frames.ego_motion(label_ns, stamp_ns)
    delay_s = (stamp_ns - label_ns) / NANOSECONDS
    boxes = (box.transformed(poses[frame]) for frame, box in labelled)
    return tuple(
        _moved(box, delay_s).transformed(motion)
        for box in boxes
        if not (box.is_vehicle and box.contains(_EGO_POINT))
    )


def _moved(box: ObjectBox, delay_s: float) -> ObjectBox:
    """The box where its velocity takes it after a delay in seconds."""
    if delay_s == 0.0 or not box.velocity.any():
        return box
    shift = RigidTransform(np.eye(3), box.velocity * delay_s)
    return replace(box, pose=shift @ box.pose)
