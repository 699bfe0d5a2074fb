# SPDX-License-Identifier: Apache-2.0
"""Which of the node's cameras send rectified images."""

from __future__ import annotations

from rclpy.node import Node

from bev_perception.bags.discovery import is_rectified
from bev_perception.ros.parameters import NodeParameters


def rectified_cameras(node: Node, parameters: NodeParameters) -> frozenset[str]:
    """Cameras whose CameraInfo's P and R hold, not K and D; told in the log where topics say so."""
    topics = {name: node.resolve_topic_name(f"~/input/{name}/image") for name in parameters.cameras}
    found = [name for name, topic in topics.items() if is_rectified(topic, parameters.rectified)]
    if found and parameters.rectified is None:
        node.get_logger().info(
            f"images of {', '.join(found)} are rectified, as their topics ({topics[found[0]]}) "
            f"say: P and R of CameraInfo hold; set rectified: false if they are not"
        )
    return frozenset(found)
