# SPDX-License-Identifier: Apache-2.0
"""Topics of a simulated vehicle, and the subscribers that it waits for."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from nav_msgs.msg import Odometry
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from bev_perception.bags.bag_writer import BASE_FRAME, LIDAR_TOPIC, WORLD_FRAME, optical_frame
from bev_perception.bags.compressed_images import image_to_compressed
from bev_perception.bags.poses import twist_since
from bev_perception.errors import ConfigurationError
from bev_perception.geometry import (
    CameraFrame,
    FrameSet,
    LidarScan,
    ObjectBox,
    Rig,
    RigidTransform,
)
from bev_perception.ros.cloud_messages import scan_message
from bev_perception.ros.drive_settings import TRUTH_TOPIC, DriveSettings
from bev_perception.ros.image_messages import camera_info_message, image_message
from bev_perception.ros.lockstep import Lockstep
from bev_perception.ros.object_messages import serialized_markers
from bev_perception.ros.stamps import header_message, time_message
from bev_perception.ros.transform_messages import odometry_message, transforms_message

IMAGE_DEPTH, TF_DEPTH, OTHER_DEPTH = 5, 100, 10
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class LabelledSet(Protocol):
    """What every simulator yields."""

    @property
    def frame_set(self) -> FrameSet:
        """Images of all cameras; world_T_base is map_T_base."""

    @property
    def objects(self) -> Sequence[ObjectBox]:
        """What is really there, in base_link."""

    @property
    def scan(self) -> LidarScan | None:
        """Of a LiDAR, where the simulator has one."""


class LabelledSetTopics:
    """Publishes simulated sets as a vehicle's drivers would, and the truth beside them.

    What it publishes, written into a bag, is what BagWriter writes of the same drive. It makes
    no OpenGL call.

    Args:
        node: whose topics they are.
        rig: cameras of the vehicle.
        settings: see there.
        others: base_T_sensor of other sensors than cameras by the name of their frame; where
            there are any, their point clouds are published.
        odom_frame: a frame between map and base_link, at rest in map: odometry that never
            drifts. Empty for none.

    Attributes:
        lockstep: knows when the output of a set has come; None where nobody is waited for.

    Raises:
        ConfigurationError: the settings wait for a topic that is not published here.
    """

    def __init__(
        self,
        node: Node,
        rig: Rig,
        settings: DriveSettings,
        odom_frame: str = "",
        others: Mapping[str, RigidTransform] | None = None,
    ) -> None:
        self.lockstep = Lockstep(node, settings.wait_for_topic) if settings.wait_for_topic else None
        self._node, self._rig, self._settings = node, rig, settings
        self._odom_frame, self._others = odom_frame, dict(others or {})
        self._last_pose: tuple[int, RigidTransform] | None = None
        self._by_topic: dict[str, Publisher] = {}
        self._images, self._infos = {}, {}
        image = ("image_raw/compressed", CompressedImage) if self._jpeg else ("image_raw", Image)
        qos = QoSProfile(
            depth=IMAGE_DEPTH, reliability=ReliabilityPolicy[self._settings.reliability.upper()]
        )
        for name in self._rig.names:
            base = f"camera/{name}"
            self._infos[name] = self._publisher(f"{base}/camera_info", CameraInfo, qos)
            self._images[name] = self._publisher(f"{base}/{image[0]}", image[1], qos)
        self._camera_topics = frozenset(self._by_topic)
        self._tf_static = self._publisher("/tf_static", TFMessage, LATCHED)
        self._tf = self._publisher("/tf", TFMessage, TF_DEPTH)
        self._odom = self._publisher("odom", Odometry, OTHER_DEPTH)
        self._truth = self._clock = self._points = None
        if self._others:
            self._points = self._publisher(LIDAR_TOPIC.lstrip("/"), PointCloud2, OTHER_DEPTH)
        if self._settings.publish_ground_truth:
            self._truth = self._publisher(TRUTH_TOPIC, MarkerArray, OTHER_DEPTH)
        if self._settings.publish_clock:
            self._clock = self._publisher("/clock", Clock, OTHER_DEPTH)
        self._wanted = self._wanted_subscribers()

    def publish_rig(self, stamp_ns: int) -> None:
        """The sensors' mounting, once, also for those who come later."""
        mounts = [
            (BASE_FRAME, optical_frame(name, entry), entry.base_T_camera)
            for name, entry in self._rig.cameras.items()
        ]
        mounts += [(BASE_FRAME, frame, mount) for frame, mount in self._others.items()]
        self._tf_static.publish(transforms_message(stamp_ns, mounts))

    def publish_clock(self, stamp_ns: int) -> None:
        """Simulated time."""
        if self._clock is not None:
            self._clock.publish(Clock(clock=time_message(stamp_ns)))

    def publish_set(self, simulated: LabelledSet) -> None:
        """Clock, pose, truth and points of one moment, then its images after their CameraInfo."""
        frame_set = simulated.frame_set
        stamp_ns = frame_set.stamp_ns
        if self.lockstep is not None:
            self.lockstep.expect(stamp_ns)
        self.publish_clock(stamp_ns)
        if frame_set.world_T_base is not None:
            self._publish_pose(stamp_ns, frame_set.world_T_base)
        if self._truth is not None:
            self._truth.publish(serialized_markers(stamp_ns, BASE_FRAME, simulated.objects))
        if self._points is not None and simulated.scan is not None:
            self._points.publish(scan_message(stamp_ns, simulated.scan))
        for name, frame in frame_set.frames.items():
            frame_id = optical_frame(name, self._rig[name])
            info = camera_info_message(self._rig[name].camera, frame.stamp_ns, frame_id)
            self._infos[name].publish(info)
            self._images[name].publish(self._image_message(frame, frame_id))

    def missing_subscribers(self) -> list[str]:
        """What keeps the drive from beginning, topic by topic; empty when nothing does."""
        counts = {topic: self._by_topic[topic].get_subscription_count() for topic in self._wanted}
        return [
            f"{topic} has {counts[topic]} of {wanted} subscribers"
            for topic, wanted in self._wanted.items()
            if counts[topic] < wanted
        ]

    def wait_for_acknowledgements(self, timeout_s: float) -> bool:
        """Whether all that was published reliably has arrived within timeout_s per topic."""
        timeout = Duration(seconds=timeout_s)
        return all(entry.wait_for_all_acked(timeout) for entry in self._by_topic.values())

    @property
    def _jpeg(self) -> bool:
        return self._settings.jpeg_quality > 0

    def _publisher(self, topic: str, kind: Any, qos: QoSProfile | int) -> Publisher:
        publisher = self._node.create_publisher(kind, topic, qos)
        self._by_topic[publisher.topic_name] = publisher
        return publisher

    def _wanted_subscribers(self) -> dict[str, int]:
        """How many subscribers the drive waits for, by topic."""
        wanted = dict.fromkeys(sorted(self._camera_topics), self._settings.wait_for_subscribers)
        for name in self._settings.other_waited_topics:
            topic = self._node.resolve_topic_name(name)
            if topic not in self._by_topic:
                raise ConfigurationError(
                    f"parameter wait_for_subscribers_on: this node does not publish {topic}; it "
                    f"publishes {', '.join(sorted(self._by_topic))}"
                )
            wanted[topic] = max(1, wanted.get(topic, 0))
        return wanted

    def _publish_pose(self, stamp_ns: int, map_T_base: RigidTransform) -> None:
        linear, angular = twist_since(self._last_pose, stamp_ns, map_T_base)
        self._last_pose = stamp_ns, map_T_base
        fixed = self._odom_frame or WORLD_FRAME
        transforms = [(fixed, BASE_FRAME, map_T_base)]
        if self._odom_frame:
            transforms.insert(0, (WORLD_FRAME, fixed, RigidTransform.identity()))
        self._tf.publish(transforms_message(stamp_ns, transforms))
        odometry = odometry_message(stamp_ns, fixed, BASE_FRAME, map_T_base, linear, angular)
        self._odom.publish(odometry)

    def _image_message(self, frame: CameraFrame, frame_id: str) -> Image | CompressedImage:
        if not self._jpeg:
            return image_message(frame.image, frame.stamp_ns, frame_id)
        quality = self._settings.jpeg_quality
        encoded = image_to_compressed(frame.image, frame.stamp_ns, frame_id, quality)
        message = CompressedImage(format=encoded.format)
        message.header = header_message(frame.stamp_ns, frame_id)
        message.data = array("B", encoded.data.tobytes())
        return message
