# SPDX-License-Identifier: Apache-2.0
"""Statuses as /diagnostics, and what the ROS graph says of a topic's publishers."""

from __future__ import annotations

from collections.abc import Iterable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from bev_perception.ros.camera_status import Status
from bev_perception.ros.camera_topics import COMPRESSED_IMAGE, IMAGE
from bev_perception.ros.endpoints import Publisher
from bev_perception.ros.stamps import header_message


def diagnostic_array(stamp_ns: int, node_name: str, statuses: Iterable[Status]) -> DiagnosticArray:
    """One DiagnosticStatus each, named ``node: part`` as diagnostic_aggregator groups them."""
    return DiagnosticArray(
        header=header_message(stamp_ns, ""),
        status=[_status_message(node_name, status) for status in statuses],
    )


_NOT_DISCOVERED = "_NODE_NAME_UNKNOWN_"
"""What rmw calls a node whose name has not arrived."""


def publishers_of(node: Node, topic: str) -> list[Publisher]:
    """Who offers a topic, with type and QoS, whether they fit or not."""
    return [
        Publisher(
            node=_node_name(entry.node_namespace, entry.node_name),
            type=entry.topic_type,
            reliability=entry.qos_profile.reliability.name.lower(),
            durability=entry.qos_profile.durability.name.lower(),
        )
        for entry in node.get_publishers_info_by_topic(topic)
    ]


def _node_name(namespace: str, name: str) -> str:
    """Full name; discovery learns of endpoints before it learns whose they are."""
    if _NOT_DISCOVERED in (namespace, name):
        return "a node not discovered yet"
    return f"{namespace.rstrip('/')}/{name}"


def image_topics(node: Node) -> list[str]:
    """All topics of the graph that carry images and have a publisher, sorted."""
    return sorted(
        topic
        for topic, types in node.get_topic_names_and_types()
        if (IMAGE in types or COMPRESSED_IMAGE in types) and node.count_publishers(topic)
    )


def _status_message(node_name: str, status: Status) -> DiagnosticStatus:
    return DiagnosticStatus(
        level=bytes([status.level]),
        name=f"{node_name}: {status.name}",
        message=status.message,
        hardware_id=status.hardware_id,
        values=[KeyValue(key=key, value=value) for key, value in status.values.items()],
    )
