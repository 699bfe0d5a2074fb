# SPDX-License-Identifier: Apache-2.0
"""A node of the test's own that talks to those under test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from ros_handshake import Handshake
from ros_processes import TIMEOUT_S, wait_for

RESPONSE_S = 4.0
"""After this long a service is asked once more: the first time it may have been a server that had
ended and was not forgotten yet."""


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

    What the executor waits for is destroyed by the executor's thread: another one would strike
    while it waits for it.

    Attributes:
        node: the rclpy node, for what has no method here.
    """

    def __init__(self, rclpy: Any, name: str, **options: Any) -> None:
        from rclpy.executors import SingleThreadedExecutor

        self.node = rclpy.create_node(name, **options)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._publishers: dict[str, Any] = {}
        self._making = threading.Lock()
        self._handshake = Handshake(
            self.node, lambda caller: self._in_thread(lambda: self.node.destroy_client(caller))
        )
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def publisher(self, topic: str, kind: type, qos: Any = 10) -> Any:
        """A publisher, made once per topic, whichever thread asks."""
        with self._making:
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
        publisher = self._publishers.pop(topic)
        self._in_thread(lambda: self.node.destroy_publisher(publisher))

    def collect(self, topic: str, kind: type, qos: Any = 10) -> Collected:
        """Subscribes and keeps every message."""
        collected = Collected(topic)
        collected.subscription = self.node.create_subscription(
            kind, topic, lambda message: collected.messages.append(message), qos
        )
        return collected

    def wait_matched(self, endpoint: Any, count: int = 1, timeout_s: float = TIMEOUT_S) -> None:
        """Until a publisher, subscription or Collected and count counterparts know each other.

        Counterparts in other processes have then matched all endpoints of this node that were
        made before, too: nothing that is published from now on is lost.
        """
        endpoint = getattr(endpoint, "subscription", endpoint)
        topic = endpoint.topic_name
        matched = getattr(endpoint, "get_subscription_count", None) or getattr(
            endpoint, "get_publisher_count", lambda: self.node.count_publishers(topic)
        )
        wait_for(lambda: matched() >= count, timeout_s, f"{count} counterparts of {topic}")
        self._handshake.wait(endpoint, timeout_s)

    def call(self, service: str, kind: Any, request: Any, timeout_s: float = TIMEOUT_S) -> Any:
        """Response of a service, of which the node's name is the first part."""
        end = time.monotonic() + timeout_s
        caller = self.node.create_client(kind, service)
        self._handshake.wait_for_answer(service.rpartition("/")[0], end)
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
        self._in_thread(lambda: self.node.destroy_client(caller))
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
        self._in_thread(self._has_ended.set)
        self._thread.join()
        self._executor.shutdown()

    def close(self) -> None:
        """Ends the thread and the node."""
        self.rest()
        self.node.destroy_node()

    def _spin(self) -> None:
        while not self._has_ended.is_set():
            self._executor.spin_once()

    def _in_thread(self, work: Callable[[], object]) -> None:
        """Does the work between two callbacks; when this returns, it is done."""
        if self._thread is threading.current_thread() or not self._thread.is_alive():
            work()
            return
        task = self._executor.create_task(work)
        wait_for(lambda: task.done() or not self._thread.is_alive(), what="the executor's thread")
