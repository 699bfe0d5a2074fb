# SPDX-License-Identifier: Apache-2.0
"""Until other processes know a node's publishers and subscriptions, and not only it theirs.

That a publisher here has matched a subscription there says nothing of the way back: each process
learns by itself of the other's endpoints, up to seconds later on a busy machine. What is published
meanwhile to a best effort subscription is lost, as are responses of services. But a process tells
of its endpoints reliably and in the order of their making: whoever has answered a service client
knows all that was made before it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

POLL_S = 0.005
ASKED_AGAIN_S = 0.5
"""A response may be lost to a client that the server has not discovered yet."""

_PARTICIPANT_BYTES = 12
"""Of an endpoint's identifier; endpoints of one process share them."""
_UNKNOWN = "_NODE_NAME_UNKNOWN_"


class Handshake:
    """Of one node with those that its endpoints have matched.

    Args:
        node: spun by another thread.
        destroy_client: of that node, in a way that does not hurt its executor.
    """

    def __init__(self, node: Any, destroy_client: Callable[[Any], None]) -> None:
        self._node = node
        self._destroy_client = destroy_client
        self._known: dict[bytes, set[Any]] = {}

    def wait(self, endpoint: Any, timeout_s: float) -> None:
        """Until every process that this publisher or subscription has found has found it, too.

        A node that ends meanwhile is not waited for.
        """
        end = time.monotonic() + timeout_s
        while strangers := self._strangers(endpoint):
            _, name = strangers.popitem()
            if not name:
                _pause(end, f"the names of those on {endpoint.topic_name}")
                continue
            own = {*self._node.publishers, *self._node.subscriptions}
            self.wait_for_answer(name, end, partial(self._is_stranger, name, endpoint))
            while len(self._processes_of(name)) > 1:  # one has ended and is not forgotten yet
                _pause(end, f"the end of all but one {name}")
            for participant, answered in self._strangers(endpoint).items():
                if answered == name:
                    self._known[participant] = own

    def wait_for_answer(
        self, name: str, end: float, is_there: Callable[[], bool] = lambda: True
    ) -> None:
        """Until a node knows all that is there now.

        Args:
            name: of the node, full.
            end: steady time when the test has failed.
            is_there: whether it is still worth waiting for.
        """
        from rcl_interfaces.srv import GetParameters

        caller = self._node.create_client(GetParameters, f"{name}/get_parameters")
        futures: list[Any] = []
        asked = -ASKED_AGAIN_S
        while not any(future.done() for future in futures) and is_there():
            if time.monotonic() > asked + ASKED_AGAIN_S and caller.service_is_ready():
                futures.append(caller.call_async(GetParameters.Request()))
                asked = time.monotonic()
            _pause(end, f"an answer of {name}")
        self._destroy_client(caller)

    def _processes_of(self, name: str) -> set[bytes]:
        """Every node publishes its log."""
        logs = self._node.get_publishers_info_by_topic("/rosout")
        return {_participant(info) for info in logs if _name(info) == name}

    def _is_stranger(self, name: str, endpoint: Any) -> bool:
        return name in self._strangers(endpoint).values()

    def _strangers(self, endpoint: Any) -> dict[bytes, str]:
        """Full node name, "" while it is unknown, by process that may not know the endpoint."""
        found = [self._node.get_publishers_info_by_topic(endpoint.topic_name)]
        found.append(self._node.get_subscriptions_info_by_topic(endpoint.topic_name))
        same, opposite = found if hasattr(endpoint, "publish") else found[::-1]
        own_name = self._node.get_fully_qualified_name()
        own = {_participant(info) for info in same if _name(info) == own_name}
        others = {_participant(info): _name(info) for info in opposite} or {b"": ""}
        return {
            participant: name
            for participant, name in others.items()
            if participant not in own and endpoint not in self._known.get(participant, ())
        }


def _pause(end: float, what: str) -> None:
    if time.monotonic() > end:
        pytest.fail(f"waited in vain for {what}")
    time.sleep(POLL_S)


def _participant(info: Any) -> bytes:
    return bytes(info.endpoint_gid[:_PARTICIPANT_BYTES])


def _name(info: Any) -> str:
    if _UNKNOWN in info.node_name:
        return ""
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}"
