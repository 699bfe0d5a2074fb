# SPDX-License-Identifier: Apache-2.0
"""Waits for perception, so that a simulator never runs ahead of a slower machine."""

from __future__ import annotations

import threading
import time

from nav_msgs.msg import OccupancyGrid
from rclpy.node import Node
from rclpy.qos import QoSProfile

from bev_perception.bags.headers import raw_stamp_ns

_LOOK_UP_S = 0.1
"""Ctrl-C is noticed this fast."""


class Lockstep:
    """Knows when the output of a set has come.

    Args:
        node: that subscribes; something else must spin it.
        topic: an OccupancyGrid, of perception; its stamps are those of the images.

    Attributes:
        stamp_ns: of the set whose output is awaited.
        missed: sets whose output did not come in time.
    """

    def __init__(self, node: Node, topic: str) -> None:
        self.topic = topic
        self.missed = 0
        self.stamp_ns = -1
        self._arrived = threading.Event()
        self._subscription = node.create_subscription(
            OccupancyGrid, topic, self._receive, QoSProfile(depth=10), raw=True
        )

    def expect(self, stamp_ns: int) -> None:
        """To be called before the images of that stamp are published."""
        self._arrived.clear()
        self.stamp_ns = stamp_ns

    def wait(self, timeout_s: float, stop: threading.Event) -> bool:
        """Whether the expected output came; without it after timeout_s it is counted.

        Args:
            timeout_s: seconds at most.
            stop: ends the waiting when set.
        """
        end = time.monotonic() + timeout_s
        while not self._arrived.wait(min(_LOOK_UP_S, max(0.0, end - time.monotonic()))):
            if stop.is_set():
                return False
            if time.monotonic() >= end:
                self.missed += 1
                return False
        return True

    def _receive(self, raw: bytes) -> None:
        if raw_stamp_ns(raw) == self.stamp_ns:
            self._arrived.set()
