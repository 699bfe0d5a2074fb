# SPDX-License-Identifier: Apache-2.0
"""Topics on which the perception node says what it sees."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from nav_msgs.msg import OccupancyGrid
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Float32
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import MarkerArray

from bev_perception.geometry import BevOutput
from bev_perception.ros.cloud_messages import labelled_message
from bev_perception.ros.object_messages import serialized_detections, serialized_markers
from bev_perception.ros.output_messages import (
    centers_message,
    occupancy_grid_message,
    probability_grid_message,
)

LATENCY_STAGES = (
    "wait",
    "decode",
    "prepare",
    "table",
    "engine",
    "objects",
    "publish",
    "node",
    "total",
    "age",
)
"""Stages of ~/debug/latency_ms.

wait: from the callback of the set's newest image to the start of its processing. node: from
that callback to published, without the engine. total: the same with it. age: from the images'
stamp to published, on the node's clock. The others are durations.
"""


class OutputPublishers:
    """All outputs; what nobody subscribes to is not even built, save latched grids.

    Args:
        node: that publishes.
        base_frame: of everything published.
        transient_local: whether late subscribers get the last grid.
        labelled_points: whether point clouds are published with their labels.
    """

    def __init__(
        self,
        node: Node,
        base_frame: str,
        transient_local: bool,
        labelled_points: bool = False,
    ) -> None:
        self._node = node
        self._frame = base_frame
        self._latched = transient_local
        durability = (
            DurabilityPolicy.TRANSIENT_LOCAL if transient_local else DurabilityPolicy.VOLATILE
        )
        grid_qos = QoSProfile(
            depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=durability
        )
        objects_qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
        self._occupancy = node.create_publisher(OccupancyGrid, "~/occupancy_grid", grid_qos)
        self._probability = node.create_publisher(OccupancyGrid, "~/probability_grid", grid_qos)
        self._centers = node.create_publisher(PointCloud2, "~/centers", objects_qos)
        self._objects = node.create_publisher(Detection3DArray, "~/objects", objects_qos)
        self._markers = node.create_publisher(MarkerArray, "~/markers", objects_qos)
        self._instances = node.create_publisher(PointCloud2, "~/instances", objects_qos)
        self._labelled = (
            node.create_publisher(PointCloud2, "~/labelled_points", objects_qos)
            if labelled_points
            else None
        )
        self._latencies = {
            stage: node.create_publisher(Float32, f"~/debug/latency_ms/{stage}", 10)
            for stage in LATENCY_STAGES
        }

    def publish(self, output: BevOutput, occupancy_threshold: float) -> None:
        """One moment, the grids first."""
        frame = self._frame
        if self._latched or _is_heard(self._occupancy):
            self._occupancy.publish(occupancy_grid_message(output, frame, occupancy_threshold))
        if self._latched or _is_heard(self._probability):
            self._probability.publish(probability_grid_message(output, frame))
        if _is_heard(self._centers):
            self._centers.publish(centers_message(output, frame))
        stamp_ns, boxes = output.stamp_ns, output.base_objects
        if _is_heard(self._objects):
            self._objects.publish(serialized_detections(stamp_ns, frame, boxes))
        if _is_heard(self._markers):
            self._markers.publish(serialized_markers(stamp_ns, frame, boxes))

    @property
    def wants_instances(self) -> bool:
        """Whether a subscriber asks for instance masks."""
        return _is_heard(self._instances)

    def publish_instances(self, stamp_ns: int, table: NDArray[np.void]) -> None:
        """Rows of LABELLED_POINT_FIELDS, one per occupied cell."""
        self._instances.publish(labelled_message(stamp_ns, self._frame, table))

    @property
    def wants_points(self) -> bool:
        """Whether labelled points are asked for, by the parameter and by a subscriber."""
        return self._labelled is not None and _is_heard(self._labelled)

    def publish_points(self, stamp_ns: int, table: NDArray[np.void]) -> None:
        """Rows of LABELLED_POINT_FIELDS."""
        if self._labelled is not None:
            self._labelled.publish(labelled_message(stamp_ns, self._frame, table))

    def publish_latencies(self, timings_ms: Mapping[str, float]) -> None:
        """Milliseconds by stage of LATENCY_STAGES."""
        for stage, publisher in self._latencies.items():
            if stage in timings_ms and _is_heard(publisher):
                publisher.publish(Float32(data=float(timings_ms[stage])))

    def close(self) -> None:
        """Ends all of them."""
        for publisher in (
            self._occupancy,
            self._probability,
            self._centers,
            self._objects,
            self._markers,
            self._instances,
            *((self._labelled,) if self._labelled else ()),
            *self._latencies.values(),
        ):
            self._node.destroy_publisher(publisher)


def _is_heard(publisher: Publisher) -> bool:
    return bool(publisher.get_subscription_count())
