# SPDX-License-Identifier: Apache-2.0
"""Watches a live drive from outside: who listens to whom, and what has come out so far."""

from __future__ import annotations

from nav_msgs.msg import OccupancyGrid
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import Float32

TOWN, PERCEPTION, RECORDER = "town", "bev", "bev_recorder"
LAST_LATENCY = "age"
"""The latency that the perception node publishes last of a set's messages."""

_PRIVATE = ("/rosout", "/parameter_events", "/bev/transition_event")


class DriveObserver:
    """Town, perception and recorder as seen by a node of one's own, which somebody else spins.

    Args:
        node: observes.

    Attributes:
        outputs: occupancy grids that have come.
        finished: sets of which everything has been published.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self.outputs = 0
        self.finished = 0
        self._subscriptions = [
            node.create_subscription(
                OccupancyGrid, f"/{PERCEPTION}/occupancy_grid", self._on_output, 10, raw=True
            ),
            node.create_subscription(
                Float32, f"/{PERCEPTION}/debug/latency_ms/{LAST_LATENCY}", self._on_finished, 10
            ),
        ]
        self._set_parameters = node.create_client(SetParameters, f"/{TOWN}/set_parameters")

    def missing(self) -> list[str]:
        """What keeps the drive from beginning, in words; empty when nothing does.

        The town and perception must have announced their topics, and the recorder must have
        subscribed to all of them.
        """
        names = {name for name, _ in self._node.get_node_names_and_namespaces()}
        absent = [name for name in (PERCEPTION, RECORDER, TOWN) if name not in names]
        if absent:
            return [f"node {name} has not appeared" for name in absent]
        published = [*self._published(TOWN), *self._published(PERCEPTION)]
        if f"/{PERCEPTION}/occupancy_grid" not in published:
            return ["perception has not announced its outputs"]
        if not self._set_parameters.service_is_ready():
            return ["the town does not answer yet"]
        return [f"{name} is not recorded yet" for name in published if not self._recorded(name)]

    def start(self) -> None:
        """Lets the town drive, which was started paused."""
        paused: ParameterMessage = Parameter("paused", value=False).to_parameter_msg()
        self._set_parameters.call_async(SetParameters.Request(parameters=[paused]))

    def _published(self, name: str) -> list[str]:
        topics = self._node.get_publisher_names_and_types_by_node(name, "/")
        return [topic for topic, _ in topics if topic not in _PRIVATE]

    def _recorded(self, topic: str) -> bool:
        subscriptions = self._node.get_subscriptions_info_by_topic(topic)
        return any(info.node_name == RECORDER for info in subscriptions)

    def _on_output(self, raw: bytes) -> None:
        self.outputs += 1

    def _on_finished(self, message: Float32) -> None:
        self.finished += 1
