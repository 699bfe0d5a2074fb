# SPDX-License-Identifier: Apache-2.0
"""Quality of service between publishers, recorders, bags and players."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)

_SECOND = 1_000_000_000
_FOREVER_S = 0x7FFFFFFF
"""Seconds from which a time means forever, in whichever way a middleware writes that."""
_PLAYED_DEPTH = 10


def recorded_profile(offered: Any) -> Qos:
    """What a bag says of an rclpy QoSProfile that a publisher offers."""
    return Qos(
        history=QosHistory[offered.history.name],
        depth=offered.depth,
        reliability=QosReliability[offered.reliability.name],
        durability=QosDurability[offered.durability.name],
        deadline=_time(offered.deadline),
        lifespan=_time(offered.lifespan),
        liveliness=QosLiveliness[offered.liveliness.name],
        liveliness_lease_duration=_time(offered.liveliness_lease_duration),
        avoid_ros_namespace_conventions=offered.avoid_ros_namespace_conventions,
    )


def request_profile(offers: Sequence[Qos], depth: int) -> QoSProfile:
    """What to ask for so that every publisher fits: reliable and latched only if all are."""
    reliable = all(offer.reliability is QosReliability.RELIABLE for offer in offers)
    latched = all(offer.durability is QosDurability.TRANSIENT_LOCAL for offer in offers)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def offer_profile(recorded: Sequence[Qos], latched: bool = False) -> QoSProfile:
    """What a player offers for a recorded topic.

    Args:
        recorded: profiles of the bag; none means reliable and volatile. Of several the
            strongest counts, because it fits the most subscribers.
        latched: transient local whatever was recorded.
    """
    best_effort = bool(recorded) and all(
        entry.reliability is QosReliability.BEST_EFFORT for entry in recorded
    )
    latched |= is_latched(recorded)
    depths = [entry.depth for entry in recorded if entry.history is QosHistory.KEEP_LAST]
    profile = QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=max(depths, default=0) or (1 if latched else _PLAYED_DEPTH),
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )
    if len(recorded) == 1 and _is_finite(recorded[0].deadline):
        profile.deadline = _duration(recorded[0].deadline)
    if len(recorded) == 1 and _is_finite(recorded[0].lifespan):
        profile.lifespan = _duration(recorded[0].lifespan)
    return profile


def is_latched(recorded: Sequence[Qos]) -> bool:
    """Whether late subscribers got the last message."""
    return any(entry.durability is QosDurability.TRANSIENT_LOCAL for entry in recorded)


def _time(duration: Duration) -> QosTime:
    return QosTime(*divmod(duration.nanoseconds, _SECOND))


def _is_finite(time: QosTime) -> bool:
    return (time.sec, time.nsec) > (0, 0) and time.sec < _FOREVER_S


def _duration(time: QosTime) -> Duration:
    return Duration(seconds=time.sec, nanoseconds=time.nsec)
