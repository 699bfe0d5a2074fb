# SPDX-License-Identifier: Apache-2.0
"""The subscription to an IMU, and the attitude of a set by it. All in the executor's thread."""

from __future__ import annotations

import time

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Imu

from bev_perception.bags.imu_messages import imu_from_message
from bev_perception.bags.vehicle_frames import VehicleFrames
from bev_perception.errors import BagError
from bev_perception.geometry import RigidTransform, TransformTree
from bev_perception.perception.imu_levelling import ImuLevelling
from bev_perception.ros.ego_pose import EgoPoses
from bev_perception.ros.flood_limits import RateLimit
from bev_perception.ros.imu_monitor import ImuMonitor
from bev_perception.ros.serialized import read_message

TOPIC = "~/input/imu"
MAX_RATE_HZ = 1000.0
"""More samples per second are not read: each takes the executor a fraction of a millisecond."""
MAX_BYTES = 4096
"""Of a message; it has no lists, and its frame has a short name."""

_DEPTH = 100


class ImuInput:
    """Samples of one topic.

    Args:
        node: that subscribes.
        base_frame: of the vehicle.
        tree: fed from /tf and /tf_static.
        poses: of the vehicle, for its acceleration.
        monitor: told of all that happens.
    """

    def __init__(
        self,
        node: Node,
        base_frame: str,
        tree: TransformTree,
        poses: EgoPoses,
        monitor: ImuMonitor,
    ) -> None:
        self._node = node
        self._frames = VehicleFrames(tree, base_frame)
        self._poses = poses
        self._monitor = monitor
        self._limit = RateLimit(MAX_RATE_HZ)
        self._topic = node.resolve_topic_name(TOPIC)
        self._levelling = ImuLevelling(self._position, self._mount)
        qos = QoSProfile(depth=_DEPTH, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._subscription = node.create_subscription(Imu, TOPIC, self._receive, qos, raw=True)
        monitor.listens(self._topic)

    def close(self) -> None:
        """Ends the subscription."""
        self._node.destroy_subscription(self._subscription)

    def forget(self) -> None:
        """For a clock that was set back."""
        self._levelling.reset()

    def at(
        self, stamp_ns: int, world_T_base: RigidTransform | None
    ) -> tuple[RigidTransform | None, RigidTransform | None]:
        """Pose and attitude of a set, as ImuLevelling.at."""
        found = self._levelling.at(stamp_ns, world_T_base)
        now_ns = time.monotonic_ns()
        self._monitor.asked(self._levelling.tilt, self._levelling.is_needed, now_ns)
        return found

    def _receive(self, data: bytes) -> None:
        now_ns = time.monotonic_ns()
        if len(data) > MAX_BYTES or not self._limit.admit(now_ns):
            self._monitor.refused(
                f"messages on {self._topic} come faster than {MAX_RATE_HZ:g} per second or are "
                f"larger than {MAX_BYTES} bytes; the surplus is not read",
                now_ns,
            )
            return
        try:
            sample = imu_from_message(read_message(data, Imu, self._topic), self._topic)
        except BagError as error:
            self._monitor.refused(str(error), now_ns)
            return
        self._monitor.received(now_ns)
        self._levelling.add(sample)

    def _position(self, stamp_ns: int) -> RigidTransform | None:
        pose = self._poses.at(stamp_ns)
        return pose.world_T_base if pose.age_ns == 0 else None

    def _mount(self, frame: str, stamp_ns: int) -> RigidTransform:
        return self._frames.base_T_frame(frame, stamp_ns, self._topic)
