# SPDX-License-Identifier: Apache-2.0
"""Publishes how the perception node does, and logs what its user should mend."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node

from bev_perception.perception import SynchronizerStatistics
from bev_perception.ros.camera_monitor import CameraMonitor
from bev_perception.ros.camera_status import CameraStatus, Cause, Level
from bev_perception.ros.diagnostics import diagnostic_array, image_topics, publishers_of
from bev_perception.ros.engine_monitor import EngineMonitor
from bev_perception.ros.synchronization_monitor import SynchronizationMonitor
from bev_perception.ros.transform_monitor import STATIC, TransformMonitor

_DEPTH = 10


class NodeDiagnostics:
    """Asks the monitors and the ROS graph, publishes on /diagnostics.

    Args:
        node: that publishes and logs.
        cameras: monitors by camera, in the rig's order.
        engine: told of sets by the worker.
        transforms: told of poses by the node.
    """

    def __init__(
        self,
        node: Node,
        cameras: Mapping[str, CameraMonitor],
        engine: EngineMonitor,
        transforms: TransformMonitor,
    ) -> None:
        self._node = node
        self._cameras = dict(cameras)
        self._engine = engine
        self._transforms = transforms
        self._synchronization = SynchronizationMonitor()
        self._dropped: dict[str, Counter[str]] = {name: Counter() for name in cameras}
        self._logged: dict[str, Cause] = dict.fromkeys(cameras, Cause.NONE)
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", _DEPTH)

    def publish(self, statistics: SynchronizerStatistics) -> None:
        """One DiagnosticArray; call it periodically.

        Args:
            statistics: of the synchroniser in use.
        """
        now_ns, clock_ns = time.monotonic_ns(), self._node.get_clock().now().nanoseconds
        self._look_at_graph()
        self._count_drops(statistics)
        cameras = [monitor.status(now_ns, clock_ns) for monitor in self._cameras.values()]
        for name, status in zip(self._cameras, cameras):
            self._log(name, status)
        others = (
            self._synchronization.status(statistics, now_ns),
            self._engine.status(now_ns),
            self._transforms.status(now_ns),
        )
        name = self._node.get_name()
        self._publisher.publish(diagnostic_array(clock_ns, name, [*cameras, *others]))

    def close(self) -> None:
        """Ends the publisher."""
        self._node.destroy_publisher(self._publisher)

    def _look_at_graph(self) -> None:
        topics = image_topics(self._node)
        for monitor in self._cameras.values():
            images = publishers_of(self._node, monitor.image.topic)
            infos = publishers_of(self._node, monitor.info.topic)
            monitor.publishers(images, infos, topics)
        self._transforms.static_publishers(publishers_of(self._node, STATIC.topic))

    def _count_drops(self, statistics: SynchronizerStatistics) -> None:
        """Tells the cameras what the synchroniser has dropped since the last time."""
        for name, monitor in self._cameras.items():
            causes = Counter(statistics.dropped.get(name, {}))
            for cause, count in (causes - self._dropped[name]).items():
                monitor.images_dropped(cause, count)
            self._dropped[name] = causes

    def _log(self, name: str, status: CameraStatus) -> None:
        """Each error once, and its end; warnings are for those who look at diagnostics."""
        if status.level is Level.WARN or status.cause is self._logged[name]:
            return
        self._logged[name] = status.cause
        if status.level is Level.OK:
            self._node.get_logger().info(f"recovered: {status.message}")
        else:
            self._node.get_logger().error(status.message)
