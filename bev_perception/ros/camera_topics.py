# SPDX-License-Identifier: Apache-2.0
"""The two topics of a camera, and what the ROS graph says of those who publish them."""

from __future__ import annotations

from bev_perception.ros.camera_status import Cause
from bev_perception.ros.endpoints import Publisher, Subscribed

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"


class CameraTopics:
    """What this node asks for and what is offered, in words.

    Args:
        camera: name, as in the node's inputs.
        image_topic, info_topic: resolved names.
        compressed: whether CompressedImage is subscribed to.
        image_reliability: of our subscription, best_effort or reliable.

    Attributes:
        image, info: what is asked for.
        image_publishers, info_publishers: of the two topics, fitting or not.
        image_topics: all topics of the graph that carry images.
        refused_policy: QoS policy of which the middleware says that it does not fit.
    """

    def __init__(
        self,
        camera: str,
        image_topic: str,
        info_topic: str,
        compressed: bool,
        image_reliability: str,
    ) -> None:
        self.image = Subscribed(
            image_topic, COMPRESSED_IMAGE if compressed else IMAGE, image_reliability
        )
        self.info = Subscribed(info_topic, CAMERA_INFO)
        self.image_publishers: tuple[Publisher, ...] = ()
        self.info_publishers: tuple[Publisher, ...] = ()
        self.image_topics: tuple[str, ...] = ()
        self.refused_policy = ""
        self._image_input = f"~/input/{camera}/image"
        self._info_input = f"~/input/{camera}/camera_info"

    def image_mismatch(self) -> tuple[Cause, str] | None:
        """Why images cannot come although somebody publishes them; None when they can."""
        fitting = self._fitting()
        if self.image_publishers and not fitting:
            return Cause.OTHER_TYPE, self._type_text(self.image_publishers[0])
        problems = [self.image.qos_problem(publisher) for publisher in fitting]
        if fitting and all(problems):
            return Cause.OTHER_QOS, f"{problems[0]}; set image_reliability: best_effort"
        if fitting and self.refused_policy:
            return Cause.OTHER_QOS, (
                f"publisher {fitting[0].node} of {self.image.topic} and this node do not agree "
                f"on the QoS policy {self.refused_policy}; change it in the publisher"
            )
        return None

    def never_text(self) -> str:
        """When no image has ever come."""
        topic, fitting = self.image.topic, self._fitting()
        if fitting:
            return (
                f"nothing has come yet from publisher {fitting[0].node} of {topic}; "
                f"look at the camera and its driver"
            )
        others = ", ".join(name for name in self.image_topics if name != topic)
        there = f" (there are images on {others})" if others else ""
        return f"nobody publishes {topic}{there}; start its driver or remap {self._image_input}"

    def stopped_text(self, silent_s: float) -> str:
        """When images came until silent_s seconds ago."""
        fitting = self._fitting()
        who = f"publisher {fitting[0].node} is still there" if fitting else "its publisher is gone"
        return (
            f"{self.image.topic} stopped {silent_s:.1f} s ago, {who}; "
            f"look at the camera and its driver"
        )

    def no_info_text(self) -> str:
        """When no CameraInfo has ever come."""
        topic, remap = self.info.topic, f"remap {self._info_input}"
        if not self.info_publishers:
            return f"nobody publishes CameraInfo on {topic}; {remap} or give rig_file"
        publisher = self.info_publishers[0]
        problem = self.info.type_problem(publisher) or self.info.qos_problem(publisher)
        if problem:
            return f"{problem}; {remap}"
        return (
            f"publisher {publisher.node} has sent no CameraInfo on {topic}; "
            f"calibrate the camera or give rig_file"
        )

    def _fitting(self) -> list[Publisher]:
        """Publishers of images of our type."""
        return [entry for entry in self.image_publishers if entry.type == self.image.type]

    def _type_text(self, publisher: Publisher) -> str:
        transport = {COMPRESSED_IMAGE: "compressed", IMAGE: "raw"}.get(publisher.type)
        advice = (
            f"set image_transport: {transport}"
            if transport
            else f"remap {self._image_input} to its image topic"
        )
        return f"{self.image.type_problem(publisher)}; {advice}"
