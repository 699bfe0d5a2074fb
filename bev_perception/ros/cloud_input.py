# SPDX-License-Identifier: Apache-2.0
"""The subscription to point clouds, and the cloud that belongs to a set.

The executor's thread keeps the newest clouds and looks up in TF where they were measured; the
worker's takes the one nearest to a set, as a bag's reader does, and reads its points.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from threading import Condition

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2

from bev_perception.bags.vehicle_frames import VehicleFrames
from bev_perception.errors import BagError, BevError
from bev_perception.geometry import RigidTransform, TransformTree
from bev_perception.geometry.point_values import moved_points
from bev_perception.ros.cloud_messages import cloud_points
from bev_perception.ros.cloud_monitor import CloudMonitor
from bev_perception.ros.cloud_patience import CloudPatience
from bev_perception.ros.ego_pose import NO_POSE, EgoPose, EgoPoses
from bev_perception.ros.flood_limits import ImageLimit
from bev_perception.ros.parameters import NodeParameters
from bev_perception.ros.serialized import read_message
from bev_perception.ros.stamps import stamp_ns

TOPIC = "~/input/points"
KEPT = 10
"""Clouds, of which sets that waited for a pose or the network find theirs."""

_DEPTH = 5


@dataclass(eq=False)
class _Cloud:
    """A message, where its frame was, and where the vehicle was then."""

    stamp_ns: int
    message: PointCloud2
    base_T_frame: RigidTransform | None = None
    pose: EgoPose = NO_POSE
    problem: str = "TF has not told yet where it was measured"


class CloudInput:
    """Clouds of one topic; all but `at` is for the executor's thread.

    Args:
        node: that subscribes.
        parameters: of the node: tolerance, patience and limits.
        tree: fed from /tf and /tf_static.
        poses: of the vehicle.
        monitor: told of all that happens.
        values: fields behind x, y, z that the network takes.
    """

    def __init__(
        self,
        node: Node,
        parameters: NodeParameters,
        tree: TransformTree,
        poses: EgoPoses,
        monitor: CloudMonitor,
        values: tuple[str, ...] = (),
    ) -> None:
        self._node = node
        self._frames = VehicleFrames(tree, parameters.base_frame)
        self._poses = poses
        self._monitor, self._values = monitor, values
        self._tolerance_ns = parameters.points_tolerance_ns
        self._patience = CloudPatience(parameters.points_timeout_ms / 1e3)
        self._limit = ImageLimit(parameters.max_image_rate_hz, parameters.max_image_mb)
        self._topic = node.resolve_topic_name(TOPIC)
        self._clouds: deque[_Cloud] = deque(maxlen=KEPT)
        self._changed = Condition()
        self._is_closed = False
        qos = QoSProfile(depth=_DEPTH, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._subscription = node.create_subscription(
            PointCloud2, TOPIC, self._receive, qos, raw=True
        )
        monitor.listens(self._topic)

    def close(self) -> None:
        """Ends the subscription; who waits goes on."""
        self._node.destroy_subscription(self._subscription)
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def forget(self) -> None:
        """For a clock that was set back."""
        with self._changed:
            self._clouds.clear()
            self._patience.forget()

    def look(self) -> None:
        """Transforms may have come."""
        with self._changed:
            for cloud in self._clouds:
                self._place(cloud)
            self._tell()

    def at(self, stamp_ns: int, pose: EgoPose) -> NDArray[np.float64] | None:
        """(N, 3) metres in base_link at a stamp and values behind, for the worker's thread.

        Waits for a cloud within the tolerance and for what tells the motion since, unless the
        last sets waited in vain.

        Args:
            stamp_ns: of the set.
            pose: of the vehicle at that stamp.

        Returns:
            The points of the nearest cloud, moved by the ego motion since where that is known;
            None where there is none within the tolerance, TF does not reach its time, or it
            cannot be read.
        """
        with self._changed:
            asked_s, wait_s = time.monotonic(), self._patience.wait_s
            self._changed.wait_for(
                lambda: self._is_closed or self._is_complete(stamp_ns, pose), wait_s
            )
            cloud = self._nearest(stamp_ns)
            if self._is_there(stamp_ns):
                self._patience.served()
            else:
                self._patience.lacked(stamp_ns, asked_s)
        now_ns = time.monotonic_ns()
        if cloud is None:
            self._monitor.missing(
                f"no cloud within {self._tolerance_ns / 1e6:g} ms of the images came in time on "
                f"{self._topic}; synchronise the clocks, or raise points_tolerance_ms or "
                f"points_timeout_ms",
                now_ns,
            )
            return None
        if cloud.base_T_frame is None:
            self._monitor.missing(cloud.problem, now_ns)
            return None
        try:
            points = cloud_points(cloud.message, self._topic, self._values)
        except BagError as error:
            self._monitor.refused(str(error), now_ns)
            return None
        self._monitor.used(now_ns)
        motion = _ego_motion(cloud, stamp_ns, pose) or RigidTransform.identity()
        return moved_points(motion @ cloud.base_T_frame, points)

    def _receive(self, data: bytes) -> None:
        now_ns = time.monotonic_ns()
        if self._limit.problem(len(data), now_ns):
            self._monitor.refused(
                f"clouds on {self._topic} come too fast or are too large, see max_image_rate_hz "
                f"and max_image_mb; the surplus is not read",
                now_ns,
            )
            return
        try:
            message = read_message(data, PointCloud2, self._topic)
        except BagError as error:
            self._monitor.refused(str(error), now_ns)
            return
        self._monitor.received(now_ns)
        cloud = _Cloud(stamp_ns(message.header.stamp), message)
        with self._changed:
            self._place(cloud)
            self._clouds.append(cloud)
            self._tell()

    def _tell(self) -> None:
        self._patience.look(self._is_there, time.monotonic())
        self._changed.notify_all()

    def _place(self, cloud: _Cloud) -> None:
        frame = cloud.message.header.frame_id.lstrip("/")
        if cloud.base_T_frame is None:
            try:
                cloud.base_T_frame = self._frames.base_T_frame(frame, cloud.stamp_ns, self._topic)
            except BevError as error:
                cloud.problem = str(error)
        if not (cloud.pose.world_T_base and cloud.pose.age_ns == 0):
            cloud.pose = self._poses.at(cloud.stamp_ns)

    def _nearest(self, stamp_ns: int) -> _Cloud | None:
        near = [c for c in self._clouds if abs(c.stamp_ns - stamp_ns) <= self._tolerance_ns]
        return min(near, key=lambda cloud: abs(cloud.stamp_ns - stamp_ns), default=None)

    def _is_there(self, stamp_ns: int) -> bool:
        cloud = self._nearest(stamp_ns)
        return cloud is not None and cloud.base_T_frame is not None

    def _is_complete(self, stamp_ns: int, pose: EgoPose) -> bool:
        """Whether waiting cannot make the answer better."""
        cloud = self._nearest(stamp_ns)
        if cloud is None or cloud.base_T_frame is None:
            return False
        is_hopeless = pose.world_T_base is None or pose.motion_age_ns > 0
        return is_hopeless or _ego_motion(cloud, stamp_ns, pose) is not None


def _ego_motion(cloud: _Cloud, stamp_ns: int, pose: EgoPose) -> RigidTransform | None:
    """Takes points from the vehicle frame at the cloud's time to it at the set's, where known."""
    if cloud.stamp_ns == stamp_ns:
        return RigidTransform.identity()
    return cloud.pose.motion_to(pose)
