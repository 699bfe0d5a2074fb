# SPDX-License-Identifier: Apache-2.0
"""Quality of service between publishers, recorders, bags and players."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from bev_perception.bags.recorded_qos import FOREVER_NS, RecordedQos

_PLAYED_DEPTH = 10


def recorded_profile(offered: Any) -> RecordedQos:
    """What a bag says of an rclpy QoSProfile that a publisher offers."""
    return RecordedQos(
        history=offered.history.name.lower(),
        depth=offered.depth,
        reliability=offered.reliability.name.lower(),
        durability=offered.durability.name.lower(),
        deadline_ns=offered.deadline.nanoseconds,
        lifespan_ns=offered.lifespan.nanoseconds,
        liveliness=offered.liveliness.name.lower(),
        lease_ns=offered.liveliness_lease_duration.nanoseconds,
    )


def request_profile(offers: Sequence[RecordedQos], depth: int) -> QoSProfile:
    """What to ask for so that every publisher fits: reliable and latched only if all are."""
    reliable = all(offer.is_reliable for offer in offers)
    latched = all(offer.is_latched for offer in offers)
    return _profile(depth, reliable, latched)


def offer_profile(recorded: Sequence[RecordedQos], latched: bool = False) -> QoSProfile:
    """What a player offers for a recorded topic.

    Args:
        recorded: profiles of the bag; none means reliable and volatile. Of several the
            strongest counts, because it fits the most subscribers.
        latched: transient local whatever was recorded.
    """
    reliable = not recorded or any(entry.reliability != "best_effort" for entry in recorded)
    latched |= any(entry.is_latched for entry in recorded)
    depths = [entry.depth for entry in recorded if entry.history == "keep_last"]
    depth = max(depths, default=0) or (1 if latched else _PLAYED_DEPTH)
    profile = _profile(depth, reliable, latched)
    if len(recorded) == 1 and recorded[0].deadline_ns < FOREVER_NS:
        profile.deadline = Duration(nanoseconds=recorded[0].deadline_ns)
    if len(recorded) == 1 and recorded[0].lifespan_ns < FOREVER_NS:
        profile.lifespan = Duration(nanoseconds=recorded[0].lifespan_ns)
    return profile


def _profile(depth: int, reliable: bool, latched: bool) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )
