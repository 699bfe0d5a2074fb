# SPDX-License-Identifier: Apache-2.0
"""Subscriptions of one camera: its images and its CameraInfo."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from bev_perception.bags.headers import BEHIND_STAMP
from bev_perception.bags.images import SUPPORTED_ENCODINGS
from bev_perception.errors import BagError, CalibrationError
from bev_perception.geometry import CameraFrame
from bev_perception.ros.camera_monitor import CameraMonitor
from bev_perception.ros.camera_status import Cause
from bev_perception.ros.flood_limits import SECOND, ImageLimit
from bev_perception.ros.image_messages import (
    image_from_message,
    raw_image_problem,
    received_image,
)
from bev_perception.ros.parameters import NodeParameters
from bev_perception.ros.repeated_images import RepeatedImages
from bev_perception.ros.serialized import read_message
from bev_perception.ros.stamps import stamp_ns

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ModuleNotFoundError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

_INFO_DEPTH = 5


@dataclass(frozen=True, eq=False)
class PendingImage:
    """An image as it came, not decoded yet.

    Attributes:
        camera: name in the rig.
        stamp_ns: of its header, nanoseconds.
        received_ns: steady time of its callback, nanoseconds.
        topic: for messages.
        message: sensor_msgs/Image or CompressedImage, as received_image makes it.
    """

    camera: str
    stamp_ns: int
    received_ns: int
    topic: str
    message: Any

    def decode(self) -> CameraFrame:
        """The image as RGB.

        Raises:
            BagError: the data are damaged.
        """
        return CameraFrame(self.camera, self.stamp_ns, image_from_message(self.message, self.topic))


class CameraInput:
    """One camera's subscriptions; callbacks only look at headers.

    Messages come serialized: rclpy takes 0.9 ms to make an Image of 0.9 MB, and holds the
    interpreter meanwhile, where its bytes take 0.15 ms.

    Args:
        node: that subscribes.
        monitor: of the camera; is told of everything that comes.
        parameters: of the node: type and QoS of the images.
        on_image: called with each image that can be read.
        on_info: called with the camera's name and each CameraInfo, or why it cannot be read.
    """

    def __init__(
        self,
        node: Node,
        monitor: CameraMonitor,
        parameters: NodeParameters,
        on_image: Callable[[PendingImage], object],
        on_info: Callable[[str, CameraInfo | CalibrationError], object],
    ) -> None:
        self._node = node
        self._monitor = monitor
        self._compressed = parameters.image_transport == "compressed"
        self._on_image = on_image
        self._on_info = on_info
        self._last_info = b""
        self._repeated = RepeatedImages()
        self._limit = ImageLimit(parameters.max_image_rate_hz, parameters.max_image_mb)
        self._image_qos = QoSProfile(
            depth=parameters.image_depth,
            reliability=ReliabilityPolicy[parameters.image_reliability.upper()],
            durability=DurabilityPolicy.VOLATILE,
        )
        info_qos = QoSProfile(depth=_INFO_DEPTH, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._topic = node.resolve_topic_name(f"~/input/{monitor.name}/image")
        self._image_subscription: Subscription | None = self._subscribe()
        self._retry = node.create_timer(
            ImageLimit.PAUSE_NS / SECOND,
            self._listen_again,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )
        self._retry.cancel()
        self._info_subscription = node.create_subscription(
            CameraInfo,
            f"~/input/{monitor.name}/camera_info",
            self._receive_info,
            info_qos,
            raw=True,
        )

    def close(self) -> None:
        """Ends both subscriptions."""
        self._node.destroy_timer(self._retry)
        self._stop_listening()
        self._node.destroy_subscription(self._info_subscription)

    def _receive_image(self, data: bytes) -> None:
        received_ns, topic = time.monotonic_ns(), self._topic
        if self._image_subscription is None:
            return  # what the executor had in hand when the flood was noticed
        flood = self._limit.problem(len(data), received_ns)
        if flood:
            self._monitor.doubts.flooded(f"{topic}: {flood}", received_ns)
            self._stop_listening()
            self._retry.reset()
            return
        try:
            message = received_image(data, self._compressed, topic)
        except BagError as error:
            self._monitor.image_refused(str(error), Cause.UNDECODABLE)
            return
        stamp = stamp_ns(message.header.stamp)
        self._monitor.image_received(stamp, received_ns, message.header.frame_id)
        self._monitor.doubts.image_repeated(self._repeated.look(data, stamp), received_ns)
        if not self._compressed:
            problem = raw_image_problem(message)
            if problem:
                is_known = message.encoding in SUPPORTED_ENCODINGS
                cause = Cause.UNDECODABLE if is_known else Cause.WRONG_ENCODING
                self._monitor.image_refused(problem, cause)
                return
        self._on_image(PendingImage(self._monitor.name, stamp, received_ns, topic, message))

    def _receive_info(self, data: bytes) -> None:
        self._monitor.info_received()
        content = data[BEHIND_STAMP:]
        if content != self._last_info:
            self._last_info = content
            self._on_info(self._monitor.name, self._read_info(data))

    def _read_info(self, data: bytes) -> CameraInfo | CalibrationError:
        try:
            return read_message(data, CameraInfo, self._info_subscription.topic_name)
        except BagError as error:
            return CalibrationError(str(error))

    def _subscribe(self) -> Subscription:
        return self._node.create_subscription(
            CompressedImage if self._compressed else Image,
            self._topic,
            self._receive_image,
            self._image_qos,
            raw=True,
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=self._note_policy),
        )

    def _stop_listening(self) -> None:
        """Without a subscription the middleware drops the flood before it takes memory."""
        if self._image_subscription is not None:
            self._node.destroy_subscription(self._image_subscription)
            self._image_subscription = None

    def _listen_again(self) -> None:
        self._retry.cancel()
        if self._image_subscription is None and self._limit.is_over(time.monotonic_ns()):
            self._image_subscription = self._subscribe()

    def _note_policy(self, event: Any) -> None:
        self._monitor.incompatible_qos(qos_policy_name_from_kind(event.last_policy_kind))
