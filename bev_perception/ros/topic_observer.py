# SPDX-License-Identifier: Apache-2.0
"""Watches the topics of the running system for the doctor, as it reads bags."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from bev_perception.bags.discovery import is_camera_topic
from bev_perception.bags.raw_topic import is_tf_static
from bev_perception.bags.typestore import decode_message
from bev_perception.doctor.collector import READ_TYPES, Collector
from bev_perception.doctor.recording import Observation
from bev_perception.geometry.rig_file import RigFile
from bev_perception.ros.raw_subscriptions import RawSubscriptions, arrival_ns
from bev_perception.ros.topic_selection import TopicSelection

SOURCE = "live topics"
PATIENCE_S = 5.0

SLOWEST = 10
"""A simulation that runs at less than a tenth of real time is not waited for."""

_LOOK_S = 0.1


class _Seen(NamedTuple):
    topic: str
    msgtype: str
    msgcount: int


class TopicObserver:
    """Collects what the doctor reads, with a node that somebody else spins.

    Args:
        node: whose subscriptions these are; its use_sim_time decides whose time arrivals are.
        selection: of topics.
        duration_s: how long to watch, from the first message on.
        rig_file: names topics, frames or calibrations.
        on_refused: told why a topic cannot be watched; by default the node's log.
        patience_s: how long to wait for the first message, at least.
    """

    def __init__(
        self,
        node: Node,
        selection: TopicSelection,
        duration_s: float,
        rig_file: RigFile | None = None,
        on_refused: Callable[[str], Any] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._node, self._selection = node, selection
        self._duration_s, self._rig_file = duration_s, rig_file
        self._named = {
            topic
            for entry in (rig_file.cameras.values() if rig_file else ())
            for topic in (entry.image_topic, entry.camera_info_topic)
        }
        self._sim_time = bool(node.get_parameter("use_sim_time").value)
        self._clock_came = False
        self._early_statics: list[tuple[str, str, bytes]] = []
        self._collector: Collector | None = None
        self._first_ns: int | None = None
        self._counts: Counter[str] = Counter()
        self._ends_s = time.monotonic() + max(duration_s, patience_s)
        self._subscriptions = RawSubscriptions(
            node, self._wants, self._receive, on_refused or node.get_logger().warning
        )
        clock = Clock(clock_type=ClockType.STEADY_TIME)  # /clock may not run
        self._timer = node.create_timer(_LOOK_S, self._subscriptions.look_around, clock=clock)

    @property
    def finished(self) -> bool:
        """Whether the time is over: the node's, but no longer than SLOWEST times this machine's."""
        if self._first_ns is not None and self._sim_time:
            elapsed_s = (self._node.get_clock().now().nanoseconds - self._first_ns) / 1e9
            if elapsed_s >= self._duration_s:
                return True
        return time.monotonic() >= self._ends_s

    @property
    def received(self) -> int:
        """Messages that have come."""
        return self._counts.total()

    def observation(self) -> Observation:
        """Ends watching and gives what was seen, of a silent system too.

        Raises:
            BagError: the rig file names a topic that nobody publishes.
        """
        self._node.destroy_timer(self._timer)
        topics = self._topics()
        publishers = {each.topic: self._publishers(each.topic) for each in topics}
        self._subscriptions.close()
        collector = self._collector or self._begin(0)
        return collector.observation(SOURCE, topics, is_live=True, publishers=publishers)

    def _wants(self, topic: str, msgtype: str, published: Collection[str]) -> bool:
        if msgtype not in READ_TYPES:
            return False
        return topic in self._named or self._selection.wants(topic, msgtype, published)

    def _receive(self, topic: str, raw: bytes, info: Any) -> None:
        self._counts[topic] += 1
        message = topic, self._subscriptions.topics[topic].msgtype, bytes(raw)
        sim_ns = int(self._node.get_clock().now().nanoseconds) if self._sim_time else 0
        if sim_ns and not self._clock_came:  # what came before has times of this machine
            self._clock_came, self._collector = True, None
        elif self._sim_time and not sim_ns and is_tf_static(topic):
            self._early_statics.append(message)
        log_ns = sim_ns or arrival_ns(info)
        if self._collector is None:
            self._collector, self._first_ns = self._begin(log_ns), log_ns
            longest_s = self._duration_s * (SLOWEST if sim_ns else 1)
            self._ends_s = time.monotonic() + longest_s
            if sim_ns:
                self._add(log_ns, *self._early_statics)
                self._early_statics.clear()
        self._add(log_ns, message)

    def _add(self, log_ns: int, *messages: tuple[str, str, bytes]) -> None:
        assert self._collector is not None
        for topic, msgtype, raw in messages:
            self._collector.add(topic, msgtype, log_ns, raw)

    def _begin(self, first_ns: int) -> Collector:
        return Collector(
            lambda topic, msgtype, raw: decode_message(msgtype, raw, topic),
            first_ns,
            first_ns + int(self._duration_s * 1e9),
            self._rig_file,
        )

    def _topics(self) -> list[_Seen]:
        """What is watched, and what else there is that is no camera."""
        watched = self._subscriptions.topics
        return [
            _Seen(name, types[0], self._counts[name])
            for name, types in sorted(self._node.get_topic_names_and_types())
            if types and (name in watched or not is_camera_topic(name, types[0]))
        ]

    def _publishers(self, topic: str) -> tuple[str, ...]:
        infos = self._node.get_publishers_info_by_topic(topic)
        names = (f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in infos)
        return tuple(sorted(names))
