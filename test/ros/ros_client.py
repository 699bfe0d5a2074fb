# SPDX-License-Identifier: Apache-2.0
"""A node of the test's own that talks to those under test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from ros_processes import TIMEOUT_S, wait_for

RESPONSE_S = 4.0
"""After this long a service is asked once more."""


class Collected:
    """Messages of one topic, in order of arrival."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.messages: list[Any] = []
        self.subscription: Any = None

    def __len__(self) -> int:
        return len(self.messages)

    def __getitem__(self, index: int) -> Any:
        return self.messages[index]

    def clear(self) -> None:
        """Forgets what came."""
        self.messages = []

    def wait(self, count: int = 1, timeout_s: float = TIMEOUT_S) -> list[Any]:
        """All messages, once there are at least count."""
        wait_for(
            lambda: len(self.messages) >= count,
            timeout_s,
            lambda: f"{count} messages on {self.topic}, {len(self.messages)} came",
        )
        return list(self.messages)

    def wait_until(
        self, condition: Callable[[Any], Any], timeout_s: float = TIMEOUT_S, what: str = ""
    ) -> Any:
        """The first message, of those there and those to come, that fulfils the condition."""
        return wait_for(
            lambda: next((message for message in list(self.messages) if condition(message)), None),
            timeout_s,
            what or f"a certain message on {self.topic}",
        )


class Client:
    """A node of the test's own, spun in the background.

    Attributes:
        node: the rclpy node, for what has no method here.
    """

    def __init__(self, rclpy: Any, name: str, **options: Any) -> None:
        from rclpy.executors import SingleThreadedExecutor

        self.node = rclpy.create_node(name, **options)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._publishers: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def publisher(self, topic: str, kind: type, qos: Any = 10) -> Any:
        """A publisher, made once per topic."""
        if topic not in self._publishers:
            self._publishers[topic] = self.node.create_publisher(kind, topic, qos)
        return self._publishers[topic]

    def publish(self, topic: str, message: Any, qos: Any = 10) -> None:
        """One message; wait_matched first if it must not be lost."""
        self.publisher(topic, type(message), qos).publish(message)

    @property
    def topics(self) -> tuple[str, ...]:
        """That it publishes."""
        return tuple(self._publishers)

    def remove_publisher(self, topic: str) -> None:
        """As a driver that ends."""
        self.node.destroy_publisher(self._publishers.pop(topic))

    def collect(self, topic: str, kind: type, qos: Any = 10) -> Collected:
        """Subscribes and keeps every message."""
        collected = Collected(topic)
        collected.subscription = self.node.create_subscription(
            kind, topic, lambda message: collected.messages.append(message), qos
        )
        return collected

    def wait_matched(self, endpoint: Any, count: int = 1, timeout_s: float = TIMEOUT_S) -> None:
        """Until a publisher, subscription or Collected has count counterparts that fit it."""
        endpoint = getattr(endpoint, "subscription", endpoint)
        topic = endpoint.topic_name
        matched = getattr(endpoint, "get_subscription_count", None) or getattr(
            endpoint, "get_publisher_count", lambda: self.node.count_publishers(topic)
        )
        wait_for(lambda: matched() >= count, timeout_s, f"{count} counterparts of {topic}")

    def call(self, service: str, kind: Any, request: Any, timeout_s: float = TIMEOUT_S) -> Any:
        """Response of a service.

        Asked again after a while: a server that has not discovered the client yet throws its
        response away, and nothing here can tell that it has.
        """
        caller = self.node.create_client(kind, service)
        wait_for(caller.service_is_ready, timeout_s, f"service {service}")
        futures = [caller.call_async(request)]
        asked = time.monotonic()

        def answered() -> Any:
            nonlocal asked
            if time.monotonic() > asked + RESPONSE_S:
                futures.append(caller.call_async(request))
                asked = time.monotonic()
            return next((future for future in futures if future.done()), None)

        future = wait_for(answered, timeout_s, f"response of {service}")
        self.node.destroy_client(caller)
        return future.result()

    def set_parameters(self, node: str, **values: Any) -> list[Any]:
        """SetParametersResult per value, for a node such as "/bev"."""
        from rcl_interfaces.srv import SetParameters
        from rclpy.parameter import Parameter

        messages = [
            Parameter(name, value=value).to_parameter_msg() for name, value in values.items()
        ]
        request = SetParameters.Request(parameters=messages)
        return list(self.call(f"{node}/set_parameters", SetParameters, request).results)

    def rest(self) -> None:
        """Ends the thread: what comes from now on is not taken."""
        self._executor.shutdown()
        self._thread.join()

    def close(self) -> None:
        """Ends the thread and the node."""
        self.rest()
        self.node.destroy_node()
