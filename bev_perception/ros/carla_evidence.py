# SPDX-License-Identifier: Apache-2.0
"""Listens to the cameras of another publisher until all is known that the check needs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, Image

from bev_perception.errors import TransformError
from bev_perception.geometry import Rig, RigidTransform
from bev_perception.ros.carla_adapter_settings import AdapterSettings
from bev_perception.ros.carla_checks import FoundCamera
from bev_perception.ros.carla_lens_check import FoundLens
from bev_perception.ros.qos_profiles import recorded_profile, request_profile
from bev_perception.ros.stamps import stamp_ns
from bev_perception.ros.transform_input import TransformInput

DEPTH = 10
_LOOK_S = 0.1
_TF_ADVICE = {
    "ros_bridge": "; carla_ros_bridge tells the vehicle's frame where its objects file has a "
    "sensor.pseudo.tf"
}


class CarlaEvidence:
    """What has been heard of every camera so far.

    Its callbacks run in the thread that spins the node; the rest may be called from another.

    Args:
        node: that subscribes.
        rig: names of the cameras.
        settings: topics and frames.
        on_info: called with the camera's name and each of its CameraInfos.
    """

    def __init__(
        self,
        node: Node,
        rig: Rig,
        settings: AdapterSettings,
        on_info: Callable[[str, CameraInfo], object],
    ) -> None:
        self.complete = threading.Event()
        self.found: dict[str, FoundCamera] = {}
        self._node, self._settings, self._on_info = node, settings, on_info
        self._infos: dict[str, CameraInfo] = {}
        self._stamps_ns: dict[str, list[int]] = {name: [] for name in rig}
        self._sizes: dict[str, tuple[int, int]] = {}
        self._tf_problems: dict[str, str] = {}
        self._refused_transform = ""
        self._transforms = TransformInput(
            node, _nothing, _nothing, _nothing, self._note_refused_transform
        )
        self._subscriptions: dict[str, Subscription] = {}
        clock = Clock(clock_type=ClockType.STEADY_TIME)  # /clock may not run yet
        self._timer = node.create_timer(_LOOK_S, self._look, clock=clock)

    def missing(self) -> list[str]:
        """What has not come yet, in words."""
        texts = []
        for name, stamps in self._stamps_ns.items():
            if not stamps:
                texts.append(f"no images on {self._settings.image_topic_of(name)}")
            elif len(stamps) < self._settings.checked_images:
                texts.append(
                    f"{len(stamps)} of {self._settings.checked_images} images on "
                    f"{self._settings.image_topic_of(name)}"
                )
            if name not in self._infos:
                texts.append(f"no CameraInfo on {self._settings.info_topic_of(name)}")
            elif name in self._tf_problems:
                texts.append(f"camera {name!r}: {self._tf_problems[name]}")
        return texts + ([self._refused_transform] if self._refused_transform else [])

    def _hear(self, camera: str, message: CameraInfo) -> None:
        self._infos[camera] = message
        self._on_info(camera, message)

    def _see(self, camera: str, message: Image) -> None:
        self._sizes[camera] = message.width, message.height
        self._stamps_ns[camera].append(stamp_ns(message.header.stamp))

    def _note_refused_transform(self, problem: str) -> None:
        self._refused_transform = problem

    def _listen(self) -> None:
        """As publishers offer it: without the shipped transport, best effort loses most."""
        for name in self._stamps_ns:
            for topic, kind, heard in (
                (self._settings.info_topic_of(name), CameraInfo, self._hear),
                (self._settings.image_topic_of(name), Image, self._see),
            ):
                offers = self._node.get_publishers_info_by_topic(topic)
                if offers and topic not in self._subscriptions:
                    profile = request_profile(
                        [recorded_profile(offer.qos_profile) for offer in offers], DEPTH
                    )
                    self._subscriptions[topic] = self._node.create_subscription(
                        kind, topic, partial(heard, name), profile
                    )

    def _look(self) -> None:
        """Listens to whom there is; ends that to images and TF once everything is there."""
        self._listen()
        mountings = {name: self._mounting(name) for name in self._infos}
        for name, stamps in self._stamps_ns.items():
            if len(stamps) < self._settings.checked_images or mountings.get(name) is None:
                return
        self._timer.cancel()
        for name in self._stamps_ns:
            images = self._subscriptions.pop(self._settings.image_topic_of(name))
            self._node.destroy_subscription(images)
        self._transforms.close()
        self.found = {
            name: FoundCamera(
                _lens(self._infos[name]),
                self._sizes[name],
                self._infos[name].header.frame_id,
                mounting,
                self._stamps_ns[name],
            )
            for name, mounting in mountings.items()
            if mounting is not None
        }
        self.complete.set()

    def _mounting(self, camera: str) -> RigidTransform | None:
        """base_T_frame of a camera's frame, where TF knows it."""
        frame, ego = self._infos[camera].header.frame_id, self._settings.vehicle_frame
        tree = self._transforms.tree
        try:
            latest_ns = tree.latest_ns(ego, frame)
            ego_T_frame = tree.lookup(ego, frame, latest_ns or 0)
        except TransformError as error:
            self._tf_problems[camera] = f"{error}{_TF_ADVICE.get(self._settings.source, '')}"
            return None
        self._tf_problems.pop(camera, None)
        return self._settings.base_T_ego @ ego_T_frame


def _lens(message: CameraInfo) -> FoundLens:
    return FoundLens(message.width, message.height, list(map(float, message.k)), list(message.d))


def _nothing(*_: object) -> None:
    """For what nobody wants to know."""
