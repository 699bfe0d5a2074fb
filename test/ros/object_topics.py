# SPDX-License-Identifier: Apache-2.0
"""The messages that subscribers to serialized objects get."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.serialization import deserialize_message
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import MarkerArray

from bev_perception.geometry import ObjectBox
from bev_perception.ros.object_messages import serialized_detections, serialized_markers


def detections_message(
    stamp_ns: int, frame_id: str, boxes: Sequence[ObjectBox]
) -> Detection3DArray:
    """Of ~/objects."""
    data = serialized_detections(stamp_ns, frame_id, boxes)
    return deserialize_message(data, Detection3DArray)


def markers_message(stamp_ns: int, frame_id: str, boxes: Sequence[ObjectBox]) -> MarkerArray:
    """Of ~/markers."""
    return deserialize_message(serialized_markers(stamp_ns, frame_id, boxes), MarkerArray)
