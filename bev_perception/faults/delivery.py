# SPDX-License-Identifier: Apache-2.0
"""One message on its way to whoever subscribes, and what kind of message it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class Kind(Enum):
    """What a message is, whatever its topic is called."""

    IMAGE = "image"
    INFO = "camera_info"
    TF = "tf"
    STATIC_TF = "tf_static"
    CLOCK = "clock"


@dataclass(frozen=True)
class Delivery:
    """A message and when it arrives.

    Attributes:
        kind: of the message.
        camera: whose image or CameraInfo it is; empty for the other kinds.
        time_ns: of arrival or recording, nanoseconds of whatever clock the caller uses.
        message: sensor_msgs Image, CompressedImage or CameraInfo, tf2_msgs TFMessage or
            rosgraph_msgs Clock, as rclpy has it or as bags/ reads it: the fields are the same.
    """

    kind: Kind
    camera: str
    time_ns: int
    message: Any
