# SPDX-License-Identifier: Apache-2.0
"""A node that says on /echoes what it hears on /words, asked for best effort as images are.

python -m echoing_node --ros-args -r __node:=first
"""

from __future__ import annotations

import contextlib

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import String

BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


def main() -> None:
    """Until Ctrl-C."""
    rclpy.init()
    node = rclpy.create_node("echo")
    echoes = node.create_publisher(String, "/echoes", 10)
    node.create_subscription(String, "/words", echoes.publish, BEST_EFFORT)
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(node)


if __name__ == "__main__":
    main()
