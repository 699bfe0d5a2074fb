# SPDX-License-Identifier: Apache-2.0
"""Drivers of a rig's cameras."""

from __future__ import annotations

import array
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from ros_client import Client

from bev_perception.geometry import Rig, RigidTransform

IMAGE_SIZE = (96, 64)
"""Width and height of the cameras' images."""


class Cameras:
    """Drivers of a rig: images, CameraInfo and /tf_static on the topics that all agree on.

    Attributes:
        rig: what they publish, IMAGE_SIZE pixels.
        silent: cameras that publish no image at present.
        without_info: cameras that publish no CameraInfo at present.
        offset_ns: added to the stamps of a camera.
        spoil: per camera a function that changes its image message or returns another one.
        spoil_info: the same for its CameraInfo.
        is_live: whether every image differs a little from the one before; start sets it.
    """

    def __init__(self, client: Client, rig: Rig, image_qos: Any = 10) -> None:
        self.client = client
        self.rig = rig
        self.image_qos = image_qos
        self.silent: set[str] = set()
        self.without_info: set[str] = set()
        self.offset_ns: dict[str, int] = {}
        self.spoil: dict[str, Callable[[Any], Any]] = {}
        self.spoil_info: dict[str, Callable[[Any], Any]] = {}
        self.compressed = False
        random = np.random.default_rng(0)
        width, height = IMAGE_SIZE
        self.images = {
            name: random.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
            .repeat(8, axis=0)
            .repeat(8, axis=1)
            for name in rig.names
        }
        self.is_live = False
        self._count = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def image_topic(self, camera: str) -> str:
        """Where its images go."""
        return f"/camera/{camera}/image_raw" + ("/compressed" if self.compressed else "")

    def wait_matched(self, names: Iterable[str] | None = None, infos: bool = True) -> None:
        """Until somebody subscribes to images and CameraInfo of the named cameras, or all."""
        from sensor_msgs.msg import CameraInfo, CompressedImage, Image

        kind = CompressedImage if self.compressed else Image
        images, calibrations = [], []
        for name in self.rig.names if names is None else names:
            images.append(self.client.publisher(self.image_topic(name), kind, self.image_qos))
            calibrations.append(self.client.publisher(f"/camera/{name}/camera_info", CameraInfo))
        for publisher in (*images, *(calibrations if infos else ())):
            self.client.wait_matched(publisher)

    def image_message(self, camera: str, stamp_ns: int) -> Any:
        """sensor_msgs/Image, or CompressedImage (JPEG) where compressed."""
        from sensor_msgs.msg import CompressedImage, Image

        image, frame = self.images[camera], self.rig[camera].frame_id
        if self.is_live:  # as no sensor sends one image twice
            self._count += 1
            image = image ^ np.uint8(self._count // len(self.images) % 2)
        message = CompressedImage(format="jpeg") if self.compressed else Image(encoding="rgb8")
        _stamp(message.header, stamp_ns, frame)
        if self.compressed:
            import cv2

            encoded = cv2.imencode(".jpg", image[..., ::-1])[1]
            message.data = array.array("B", encoded.tobytes())
        else:
            message.height, message.width, message.step = *image.shape[:2], image.shape[1] * 3
            message.data = array.array("B", image.tobytes())
        return message

    def info_message(self, camera: str, stamp_ns: int) -> Any:
        """sensor_msgs/CameraInfo."""
        from sensor_msgs.msg import CameraInfo

        lens = self.rig[camera].camera
        message = CameraInfo(width=lens.width, height=lens.height, distortion_model="plumb_bob")
        _stamp(message.header, stamp_ns, self.rig[camera].frame_id)
        message.d, message.k = [0.0] * 5, [float(value) for value in lens.matrix.reshape(-1)]
        message.r = [float(value) for value in np.eye(3).reshape(-1)]
        message.p = [float(value) for value in np.eye(4)[:3].reshape(-1)]
        message.p[:3], message.p[4:7] = message.k[:3], message.k[3:6]
        return message

    def transform(
        self, stamp_ns: int, parent: str, child: str, parent_T_child: RigidTransform
    ) -> Any:
        """geometry_msgs/TransformStamped."""
        return _transform(stamp_ns, parent, child, parent_T_child)

    def publish_static(self, frames: Iterable[str] | None = None) -> None:
        """/tf_static, latched, of the named cameras, or all."""
        from rclpy.qos import DurabilityPolicy, QoSProfile
        from tf2_msgs.msg import TFMessage

        names = self.rig.names if frames is None else frames
        entries = [
            _transform(0, "base_link", self.rig[name].frame_id, self.rig[name].base_T_camera)
            for name in names
        ]
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.client.publish("/tf_static", TFMessage(transforms=entries), latched)

    def publish_pose(self, stamp_ns: int, map_T_base: RigidTransform) -> None:
        """/tf from map to base_link."""
        from tf2_msgs.msg import TFMessage

        transform = _transform(stamp_ns, "map", "base_link", map_T_base)
        self.client.publish("/tf", TFMessage(transforms=[transform]))

    def publish(self, stamp_ns: int | None = None, names: Iterable[str] | None = None) -> int:
        """One set, of the named cameras or all, now or at a stamp; returns the stamp."""
        stamp_ns = time.time_ns() if stamp_ns is None else stamp_ns
        for name in self.rig.names if names is None else names:
            own_ns = stamp_ns + self.offset_ns.get(name, 0)
            if name not in self.without_info:
                info = self.spoil_info.get(name, _same)(self.info_message(name, own_ns))
                self.client.publish(f"/camera/{name}/camera_info", info)
            if name not in self.silent:
                image = self.spoil.get(name, _same)(self.image_message(name, own_ns))
                self.client.publish(self.image_topic(name), image, self.image_qos)
        return stamp_ns

    def start(self, rate_hz: float = 10.0) -> None:
        """Publishes in the background until stop."""
        self.stop()
        self._stop.clear()
        self.is_live = True

        def run() -> None:
            while not self._stop.wait(1.0 / rate_hz):
                self.publish()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends what start began."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5.0)

    def close(self) -> None:
        """As drivers that end."""
        self.stop()
        topics = [f"/camera/{name}/camera_info" for name in self.rig.names]
        topics += [self.image_topic(name) for name in self.rig.names]
        for topic in (*topics, "/tf", "/tf_static"):
            if topic in self.client.topics:
                self.client.remove_publisher(topic)


def _same(message: Any) -> Any:
    return message


def _stamp(header: Any, stamp_ns: int, frame_id: str) -> None:
    header.stamp.sec, header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
    header.frame_id = frame_id


def _transform(stamp_ns: int, parent: str, child: str, parent_T_child: RigidTransform) -> Any:
    from geometry_msgs.msg import TransformStamped

    entry = TransformStamped(child_frame_id=child)
    _stamp(entry.header, stamp_ns, parent)
    target = entry.transform
    place, turn = parent_T_child.translation, parent_T_child.quaternion
    target.translation.x, target.translation.y, target.translation.z = map(float, place)
    target.rotation.x, target.rotation.y, target.rotation.z, target.rotation.w = map(float, turn)
    return entry
