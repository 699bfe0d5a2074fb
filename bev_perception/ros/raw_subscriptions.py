# SPDX-License-Identifier: Apache-2.0
"""Follows topics of the running system, undecoded, as their publishers offer them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from typing import Any

from rclpy.node import Node
from rclpy.subscription import Subscription

from bev_perception.bags.raw_topic import RawTopic
from bev_perception.bags.typestore import COMPRESSED_IMAGE, IMAGE
from bev_perception.errors import BagError
from bev_perception.ros.message_definitions import message_class, message_definition
from bev_perception.ros.qos_profiles import recorded_profile, request_profile

_PLAUSIBLE_DELAY_NS = 10_000_000_000
_HISTORY = {IMAGE: 32, COMPRESSED_IMAGE: 64}
_HISTORY_OF_OTHERS = 512


class RawSubscriptions:
    """Subscribes to what is wanted, and again to what is offered otherwise than before.

    Args:
        node: whose subscriptions these are; somebody else spins it.
        wants: whether a topic is followed: (name, type, names of all topics there are).
        received: called with the topic's name, the serialized message and rclpy's info on it
            (empty where rclpy gives none).
        refused: told why a wanted topic is not followed.
        announced: called with a topic before its first message.

    Attributes:
        topics: that are followed, by name.
        refusals: names of wanted topics that cannot be followed.
    """

    def __init__(
        self,
        node: Node,
        wants: Callable[[str, str, Collection[str]], bool],
        received: Callable[[str, bytes, Any], Any],
        refused: Callable[[str], Any],
        announced: Callable[[RawTopic], Any] | None = None,
    ) -> None:
        self.topics: dict[str, RawTopic] = {}
        self.refusals: set[str] = set()
        self._node, self._wants, self._received = node, wants, received
        self._tell_refused, self._announced = refused, announced
        self._subscriptions: dict[str, Subscription] = {}
        self._with_info = hasattr(Subscription, "CallbackType")  # not in Humble

    def look_around(self) -> None:
        """Finds new topics and new publishers; to be called now and then."""
        found = dict(self._node.get_topic_names_and_types())
        for name, types in found.items():
            if name in self.refusals or not types or not self._wants(name, types[0], found):
                continue
            if len(types) > 1:
                self._refuse(name, f"{name} has several types ({', '.join(types)})")
                continue
            try:
                self._follow(name, types[0])
            except BagError as error:
                self._refuse(name, f"{name}: {error}")

    def close(self) -> None:
        """Ends all subscriptions."""
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def _follow(self, name: str, msgtype: str) -> None:
        """Subscribes so that all present publishers fit."""
        offers = tuple(
            recorded_profile(info.qos_profile)
            for info in self._node.get_publishers_info_by_topic(name)
        )
        known = self.topics.get(name)
        if not offers or (known is not None and known.qos == offers):
            return
        kind = message_class(msgtype)
        if known is None:
            known = RawTopic(name, msgtype, *message_definition(msgtype))
        profile = request_profile(offers, _HISTORY.get(msgtype, _HISTORY_OF_OTHERS))
        self.topics[name] = topic = replace(known, qos=offers)
        earlier = self._subscriptions.get(name)
        if earlier is not None:
            if _fits(earlier.qos_profile, profile):
                return
            self._node.destroy_subscription(earlier)
        if self._announced is not None:
            self._announced(topic)
        received = partial(self._received, name)
        callback = received if self._with_info else lambda data: received(data, {})
        self._subscriptions[name] = self._node.create_subscription(
            kind, name, callback, profile, raw=True
        )

    def _refuse(self, name: str, reason: str) -> None:
        self.refusals.add(name)
        self._tell_refused(reason)


def arrival_ns(info: Any) -> int:
    """When a message arrived by this machine's clock, as the middleware tells or else now."""
    now_ns = time.time_ns()
    received_ns = int(info.get("received_timestamp", 0)) if isinstance(info, dict) else 0
    return received_ns if 0 <= now_ns - received_ns < _PLAUSIBLE_DELAY_NS else now_ns


def _fits(present: Any, wanted: Any) -> bool:
    """Whether a subscription asks for no more than wanted."""
    same = present.durability == wanted.durability and present.reliability == wanted.reliability
    return bool(same)
