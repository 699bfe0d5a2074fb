# SPDX-License-Identifier: Apache-2.0
"""Serialized messages that wait for somebody who looks at them now and then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

Handler = Callable[[str, bytes], None]
"""Called with topic and serialized message."""

_SMALL_DEPTH = 100


class Inbox:
    """Subscribes best effort, so that no publisher ever waits, and decodes nothing.

    Args:
        node: whose subscriptions these are; somebody else spins it.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._handlers: dict[str, Handler] = {}
        self._newest: dict[str, bytes] = {}
        self._small: list[tuple[Handler, str, bytes]] = []

    def subscribe_newest(
        self, kind: Any, topic: str, handler: Handler, on_arrival: Handler | None = None
    ) -> None:
        """Keeps the newest message; on_arrival is called with every one at once."""
        self._handlers[topic] = handler

        def keep(raw: bytes) -> None:
            self._newest[topic] = raw
            if on_arrival is not None:
                on_arrival(topic, raw)

        self._node.create_subscription(kind, topic, keep, _best_effort(1), raw=True)

    def subscribe_all(self, kind: Any, topic: str, handler: Handler) -> None:
        """Keeps every message, for topics whose messages are small."""

        def keep(raw: bytes) -> None:
            self._small.append((handler, topic, raw))

        self._node.create_subscription(kind, topic, keep, _best_effort(_SMALL_DEPTH), raw=True)

    def take(self) -> list[tuple[Handler, str, bytes]]:
        """(handler, topic, message) of all that waits, newest ones in the order of subscribing."""
        newest, self._newest = self._newest, {}
        small, self._small = self._small, []
        waiting = [
            (handler, topic, newest[topic])
            for topic, handler in self._handlers.items()
            if topic in newest
        ]
        return waiting + small


def _best_effort(depth: int) -> QoSProfile:
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)
