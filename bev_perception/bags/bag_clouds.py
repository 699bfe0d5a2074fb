# SPDX-License-Identifier: Apache-2.0
"""The point clouds of a bag, by the sensor that measured them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from bev_perception.bags.bag_file import BagFile, about
from bev_perception.bags.discovery import find_points
from bev_perception.bags.point_clouds import points_from_message
from bev_perception.bags.rig_changes import RigChanges
from bev_perception.bags.stamped_topic import StampedTopic
from bev_perception.bags.vehicle_frames import VehicleFrames
from bev_perception.errors import BagError
from bev_perception.geometry.point_values import POINT_VALUES, moved_points
from bev_perception.geometry.transform_tree import OutOfRangeError


class BagClouds:
    """Finds a sensor's topic when it is first asked for, and reads its messages one by one.

    Args:
        bag: open.
        points_topic: of whatever sensor is asked for; None to find it by name.

    Raises:
        BagError: points_topic is not in the bag, or of another type.
    """

    def __init__(self, bag: BagFile, points_topic: str | None) -> None:
        self._bag, self._named = bag, points_topic
        self._topics: dict[str, StampedTopic | None] = {}
        if points_topic is not None:
            find_points(bag.connections, topic=points_topic)

    def topic(self, sensor: str) -> StampedTopic | None:
        """Where clouds of "lidar", "radar" or "radar_features" are; None if nowhere."""
        if sensor not in self._topics:
            found = find_points(self._bag.connections, sensor, self._named)
            self._topics[sensor] = StampedTopic.scan(self._bag, found) if found else None
        return self._topics[sensor]

    def points(
        self,
        frames: VehicleFrames,
        changes: RigChanges,
        stamp_ns: int,
        tolerance_ns: int,
        sensor: str,
    ) -> NDArray[np.float64] | None:
        """See BagReader.points; frames are those of the vehicle, changes what does not stay."""
        topic = self.topic(sensor)
        found = topic.nearest(stamp_ns, tolerance_ns) if topic else None
        if topic is None or found is None:
            return None
        cloud_ns, message = found
        with about(self._bag.path):
            points = points_from_message(message, topic.name, POINT_VALUES[sensor])
        frame = message.header.frame_id.lstrip("/")
        if changes and not changes.stays(frames.tree.ancestors(frame), topic.log_ns(cloud_ns)):
            return None
        try:
            base_T_frame = frames.base_T_frame(frame, cloud_ns, topic.name)
        except OutOfRangeError:
            return None
        return moved_points(frames.ego_motion(cloud_ns, stamp_ns) @ base_T_frame, points)

    def frame(self, sensor: str) -> str:
        """Of the first cloud of a sensor; empty where there is none that can be read."""
        with suppress(BagError):
            topic = self.topic(sensor)
            found = topic.nearest(topic.stamps_ns[0], 0) if topic and topic.stamps_ns else None
            return str(found[1].header.frame_id).lstrip("/") if found else ""
        return ""

    def has_values(self, names: Iterable[str], sensor: str) -> bool:
        """Whether the first cloud of a sensor has fields of these names."""
        topic = self.topic(sensor)
        if topic is None or not topic.stamps_ns:
            return False
        found = topic.nearest(topic.stamps_ns[0], 0)
        return found is not None and {*names} <= {field.name for field in found[1].fields}
