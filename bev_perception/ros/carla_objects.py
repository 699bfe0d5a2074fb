# SPDX-License-Identifier: Apache-2.0
"""The objects of carla_ros_bridge as ground truth, where bags and viewers look for it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from rclpy.node import Node
from visualization_msgs.msg import MarkerArray

from bev_perception.bags.object_messages import boxes_from_objects
from bev_perception.bags.typestore import OBJECT_ARRAY
from bev_perception.errors import BagError
from bev_perception.ros.drive_settings import TRUTH_TOPIC
from bev_perception.ros.message_definitions import message_class
from bev_perception.ros.object_messages import serialized_markers
from bev_perception.ros.stamps import stamp_ns

PATIENCE_S = 5.0
DEPTH = 10
NO_LABELS = "bags recorded now have no labels"


class CarlaObjects:
    """Every ObjectArray that comes, as cubes in its own frame, which is map.

    Its callbacks run in the thread that spins the node.

    Args:
        node: that subscribes and publishes.
        topics: of the objects, best first; once a better one has been heard, others are not
            listened to. None: the source has no objects.
    """

    def __init__(self, node: Node, topics: Sequence[str]) -> None:
        self._log, self._topics = node.get_logger(), topics
        self._best = len(topics)
        self._is_open = self._is_told = False
        self._started = time.monotonic()
        if not topics:
            self._is_told = True
            self._log.warning(f"this source publishes no objects: {NO_LABELS}")
            return
        try:
            kind = message_class(OBJECT_ARRAY)
        except BagError as error:
            self._is_told = True
            self._log.warning(f"{error}; until then {NO_LABELS}")
            return
        self._truth = node.create_publisher(MarkerArray, f"/{TRUTH_TOPIC}", DEPTH)
        for rank, topic in enumerate(topics):
            node.create_subscription(kind, topic, partial(self._receive, rank), DEPTH)

    def open(self) -> None:
        """From now on they are published."""
        self._is_open, self._started = True, time.monotonic()

    def look(self) -> None:
        """Says, once, that none have come."""
        late = time.monotonic() - self._started > PATIENCE_S
        if self._is_open and late and not self._is_told:
            self._is_told = True
            if self._best == len(self._topics):
                self._log.warning(
                    f"no objects on {' or '.join(self._topics)}: {NO_LABELS}; the bridge "
                    f"publishes them where its objects file has a sensor.pseudo.objects"
                )

    def _receive(self, rank: int, message: Any) -> None:
        if rank > self._best:
            return
        topic = self._topics[rank]
        if rank < self._best:
            self._best = rank
            self._log.info(f"objects of {topic} become /{TRUTH_TOPIC}")
        if not self._is_open:
            return
        try:
            found = boxes_from_objects(message, topic)
        except BagError as error:
            self._log.warning(f"objects left out: {error}", throttle_duration_sec=PATIENCE_S)
            return
        frame = message.header.frame_id.lstrip("/")
        boxes = [box for of, box in found if of == frame]
        self._truth.publish(serialized_markers(stamp_ns(message.header.stamp), frame, boxes))
