# SPDX-License-Identifier: Apache-2.0
"""All monitors of the perception node, what they are told, and /diagnostics made of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node

from bev_perception.bags.discovery import is_rectified
from bev_perception.errors import BevError, TransformError
from bev_perception.geometry.rig_file import RigFileCamera
from bev_perception.perception import SynchronizerStatistics
from bev_perception.ros.camera_monitor import CameraMonitor
from bev_perception.ros.camera_status import CameraStatus, Cause, Level, Status
from bev_perception.ros.clock_monitor import CLOCK_TOPIC, ClockMonitor
from bev_perception.ros.cloud_monitor import CloudMonitor
from bev_perception.ros.diagnostics import diagnostic_array, image_topics, publishers_of
from bev_perception.ros.engine_monitor import EngineMonitor
from bev_perception.ros.imu_monitor import ImuMonitor
from bev_perception.ros.live_rig import CameraInfoMissingError, CameraInfoSpoiledError
from bev_perception.ros.parameters import NodeParameters
from bev_perception.ros.process_monitor import ProcessMonitor
from bev_perception.ros.residual_pose_monitor import ResidualPoseMonitor
from bev_perception.ros.stamp_offsets import stamp_problems
from bev_perception.ros.synchronization_monitor import SynchronizationMonitor
from bev_perception.ros.timing_monitor import TimingMonitor
from bev_perception.ros.transform_monitor import TransformMonitor

Verdicts = tuple[object, ...]
"""Levels of all parts, and causes of cameras."""


class NodeMonitor:
    """Cameras, synchronisation, transforms, clock and engine.

    Args:
        node: that publishes; its graph is asked who publishes the inputs.
        parameters: of the node.
        overrides: what the rig file says, by camera.
        facts: of the engine, asked for its status.
        process: of this process; None where nobody supervises it.

    Attributes:
        cameras: monitor by camera.
        engine: told of every set.
        timing: told of every set, too.
        transforms: told of every pose.
        residual_pose: told of every set.
        points: told of every point cloud, and of every set that needs one.
        imu: told of every sample, and of every set's attitude.
    """

    def __init__(
        self,
        node: Node,
        parameters: NodeParameters,
        overrides: Mapping[str, RigFileCamera],
        facts: Callable[[], Mapping[str, str]],
        process: ProcessMonitor | None = None,
    ) -> None:
        self._node = node
        self._process = process or ProcessMonitor()
        self.cameras = {
            name: _camera_monitor(node, name, parameters, overrides.get(name, RigFileCamera()))
            for name in parameters.cameras
        }
        self._topics = {
            name: tuple(
                node.resolve_topic_name(f"~/input/{name}/{kind}")
                for kind in ("image", "camera_info")
            )
            for name in parameters.cameras
        }
        self.engine = EngineMonitor(facts)
        self.timing = TimingMonitor(parameters.latency_budget_ms)
        self.residual_pose = ResidualPoseMonitor()
        self.points = CloudMonitor()
        self.imu = ImuMonitor()
        self.transforms = TransformMonitor(parameters.base_frame, parameters.world_frame)
        self._synchronization = SynchronizationMonitor()
        self._clock = ClockMonitor()
        self._clock_level = Level.OK
        self._drops_told: dict[str, Counter[str]] = {name: Counter() for name in self.cameras}
        self._causes_logged: dict[str, Cause] = {}
        self._published: Verdicts = ()
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)

    def close(self) -> None:
        """Ends the topic."""
        self._node.destroy_publisher(self._publisher)

    def look(self, statistics: SynchronizerStatistics, problems: Mapping[str, BevError]) -> None:
        """Publishes at once where something is worse or better than was published last.

        Costs a fraction of publish where nothing has changed. Arguments as for publish.
        """
        if self._verdicts(statistics, problems) != self._published:
            self.publish(statistics, problems)

    def publish(self, statistics: SynchronizerStatistics, problems: Mapping[str, BevError]) -> None:
        """Diagnostics of this moment; a camera whose state has changed is logged.

        Args:
            statistics: of the synchroniser.
            problems: why a camera is not in the rig, by camera.
        """
        self._ask_graph()
        self._published = self._verdicts(statistics, problems)
        now_ns = time.monotonic_ns()
        clock_ns = self._node.get_clock().now().nanoseconds
        statuses: list[Status] = []
        for name, monitor in self.cameras.items():
            status = monitor.status(now_ns, clock_ns)
            self._log_change(name, status)
            statuses.append(status)
        statuses.append(self._synchronization.status(statistics, now_ns))
        statuses.append(self.transforms.status(now_ns))
        statuses.append(self.engine.status(now_ns))
        statuses.append(self.timing.status(now_ns))
        statuses += self.residual_pose.statuses()
        statuses += self.points.statuses(now_ns)
        statuses += self.imu.statuses(now_ns)
        statuses += self._process.statuses(now_ns)
        statuses.append(self._clock_status(clock_ns, now_ns))
        self._publisher.publish(diagnostic_array(clock_ns, self._node.get_name(), statuses))

    def _verdicts(
        self, statistics: SynchronizerStatistics, problems: Mapping[str, BevError]
    ) -> Verdicts:
        """What can change in diagnostics but for figures."""
        now_ns, clock_ns = time.monotonic_ns(), self._node.get_clock().now().nanoseconds
        self._tell_drops(statistics)
        self._compare_stamps(now_ns, clock_ns)
        for name, monitor in self.cameras.items():
            _tell_problem(monitor, problems.get(name))
        return (
            *(monitor.verdict(now_ns) for monitor in self.cameras.values()),
            self._synchronization.status(statistics, now_ns).level,
            self.transforms.verdict(now_ns),
            self.engine.verdict(now_ns),
            self.timing.status(now_ns).level,
            self.residual_pose.level,
            self.points.level(now_ns),
            self.imu.level(now_ns),
            self._process.level(now_ns),
            self._clock_status(clock_ns, now_ns).level,
        )

    def _compare_stamps(self, now_ns: int, clock_ns: int) -> None:
        stamps_ns = {
            name: stamp_ns
            for name, monitor in self.cameras.items()
            if (stamp_ns := monitor.newest_stamp_ns(now_ns)) is not None
        }
        follows_topic = bool(self._node.get_parameter("use_sim_time").value)
        found = stamp_problems(stamps_ns, None if follows_topic else clock_ns)
        for name, monitor in self.cameras.items():
            monitor.doubts.stamps_differ(found.get(name, ""))

    def _clock_status(self, clock_ns: int, now_ns: int) -> Status:
        """Also logged when it changes: without time nothing else tells why all stands still."""
        follows_topic = bool(self._node.get_parameter("use_sim_time").value)
        num_publishers = self._node.count_publishers(CLOCK_TOPIC)
        status = self._clock.status(clock_ns, now_ns, follows_topic, num_publishers)
        if status.level != self._clock_level:
            logger = self._node.get_logger()
            self._clock_level = status.level
            if status.level == Level.OK:
                logger.info(status.message)
            else:
                logger.warning(status.message)
        return status

    def _ask_graph(self) -> None:
        offered = image_topics(self._node)
        for name, (image_topic, info_topic) in self._topics.items():
            self.cameras[name].publishers(
                publishers_of(self._node, image_topic),
                publishers_of(self._node, info_topic),
                offered,
            )
        static, moving = (publishers_of(self._node, topic) for topic in ("/tf_static", "/tf"))
        self.transforms.publishers(static, moving)

    def _tell_drops(self, statistics: SynchronizerStatistics) -> None:
        """What the synchroniser dropped since the last time."""
        for name, causes in statistics.dropped.items():
            told = self._drops_told[name]
            for cause, count in causes.items():
                if count != told[cause]:
                    self.cameras[name].images_dropped(cause, count - told[cause])
            self._drops_told[name] = Counter(causes)

    def _log_change(self, name: str, status: CameraStatus) -> None:
        if self._causes_logged.get(name) == status.cause or status.is_starting:
            return
        self._causes_logged[name] = status.cause
        logger = self._node.get_logger()
        if status.level == Level.OK:
            logger.info(status.message)
        else:
            logger.warning(status.message)


def _camera_monitor(
    node: Node, name: str, parameters: NodeParameters, override: RigFileCamera
) -> CameraMonitor:
    image_topic = node.resolve_topic_name(f"~/input/{name}/image")
    return CameraMonitor(
        name,
        image_topic,
        node.resolve_topic_name(f"~/input/{name}/camera_info"),
        compressed=parameters.image_transport == "compressed",
        image_reliability=parameters.image_reliability,
        needs_info=override.camera is None,
        needs_transform=override.base_T_camera is None,
        frame_id=override.frame_id or "",
        rectified=is_rectified(image_topic, parameters.rectified),
    )


def _tell_problem(monitor: CameraMonitor, problem: BevError | None) -> None:
    """Why the camera is not in the rig; that CameraInfo never came it knows by itself."""
    is_transform = isinstance(problem, TransformError)
    is_info = problem is not None and not is_transform
    missing = isinstance(problem, CameraInfoMissingError)
    monitor.transform_problem(str(problem) if is_transform else "")
    spoiled = isinstance(problem, CameraInfoSpoiledError)
    monitor.info_problem(str(problem) if is_info and not missing else "", spoiled)
