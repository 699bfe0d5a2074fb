# SPDX-License-Identifier: Apache-2.0
"""Bags for the player to play."""

from __future__ import annotations

from pathlib import Path

from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from std_msgs.msg import Float32, String
from tf2_msgs.msg import TFMessage

from bev_perception.bags.bag_sink import BagSink
from bev_perception.bags.raw_topic import RawTopic
from bev_perception.bags.typestore import TF
from bev_perception.ros.message_definitions import message_definition
from bev_perception.ros.qos_profiles import recorded_profile

SECOND = 1_000_000_000
START_NS = 1_700_000_000 * SECOND
TOPICS = ("/numbers", "/texts", "/notice", "/tf_static")
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
HASTY = QoSProfile(depth=20, reliability=ReliabilityPolicy.BEST_EFFORT)
DEEP = QoSProfile(depth=1000)
LATE_LISTENER = QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def raw_topic(name: str, msgtype: str, profile: QoSProfile = DEEP) -> RawTopic:
    return RawTopic(name, msgtype, *message_definition(msgtype), (recorded_profile(profile),))


NUMBERS = raw_topic("/numbers", "std_msgs/msg/Float32", HASTY)
TEXTS = raw_topic("/texts", "std_msgs/msg/String")
NOTICE = raw_topic("/notice", "std_msgs/msg/String", LATCHED)
STATIC = raw_topic("/tf_static", TF, LATCHED)


def static(*frames: str, x: float = 0.0) -> bytes:
    """Transforms from base_link to frames, x metres ahead, serialized."""
    entries = []
    for frame in frames:
        entry = TransformStamped(child_frame_id=frame)
        entry.header.frame_id = "base_link"
        entry.transform.translation.x = x
        entries.append(entry)
    return bytes(serialize_message(TFMessage(transforms=entries)))


def write_bag(path: Path, entries: list[tuple[RawTopic, float, bytes]]) -> Path:
    """A bag of (topic, seconds, message)."""
    sink = BagSink(path, "mcap", False)
    sink.open()
    for topic, seconds, data in entries:
        sink.write_raw(topic, START_NS + round(seconds * SECOND), data)
    sink.commit()
    return path


def text(value: str) -> bytes:
    return bytes(serialize_message(String(data=value)))


def number(value: float) -> bytes:
    return bytes(serialize_message(Float32(data=value)))
