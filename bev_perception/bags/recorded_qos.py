# SPDX-License-Identifier: Apache-2.0
"""Quality of service as bags record it, in rosbag2's words."""

from __future__ import annotations

from dataclasses import dataclass

from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag2,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)

NANOSECONDS_PER_SECOND = 1_000_000_000
FOREVER_NS = (1 << 63) - 1


@dataclass(frozen=True)
class RecordedQos:
    """What a publisher offers.

    Attributes:
        history: keep_last, keep_all or unknown.
        depth: of the history; 0 where unknown.
        reliability: reliable, best_effort or unknown.
        durability: transient_local, volatile or unknown.
        deadline_ns, lifespan_ns, lease_ns: durations, FOREVER_NS for no limit.
        liveliness: automatic, manual_by_topic or unknown.
    """

    history: str = "unknown"
    depth: int = 0
    reliability: str = "reliable"
    durability: str = "volatile"
    deadline_ns: int = FOREVER_NS
    lifespan_ns: int = FOREVER_NS
    liveliness: str = "automatic"
    lease_ns: int = FOREVER_NS

    @property
    def is_reliable(self) -> bool:
        """Whether lost messages are sent again."""
        return self.reliability == "reliable"

    @property
    def is_latched(self) -> bool:
        """Whether late subscribers get the last messages."""
        return self.durability == "transient_local"


def to_rosbags(profile: RecordedQos) -> Qos:
    """The profile for rosbags' writer."""
    return Qos(
        history=QosHistory[profile.history.upper()],
        depth=profile.depth,
        reliability=QosReliability[profile.reliability.upper()],
        durability=QosDurability[profile.durability.upper()],
        deadline=_time(profile.deadline_ns),
        lifespan=_time(profile.lifespan_ns),
        liveliness=QosLiveliness[profile.liveliness.upper()],
        liveliness_lease_duration=_time(profile.lease_ns),
        avoid_ros_namespace_conventions=False,
    )


def recorded_qos(connection: Connection) -> tuple[RecordedQos, ...]:
    """What the publishers of a recorded topic offered, one profile each."""
    if not isinstance(connection.ext, ConnectionExtRosbag2):
        return ()
    return tuple(
        RecordedQos(
            history=entry.history.name.lower(),
            depth=entry.depth,
            reliability=entry.reliability.name.lower(),
            durability=entry.durability.name.lower(),
            deadline_ns=_nanoseconds(entry.deadline),
            lifespan_ns=_nanoseconds(entry.lifespan),
            liveliness=entry.liveliness.name.lower(),
            lease_ns=_nanoseconds(entry.liveliness_lease_duration),
        )
        for entry in connection.ext.offered_qos_profiles
    )


def _time(nanoseconds: int) -> QosTime:
    return QosTime(*divmod(nanoseconds, NANOSECONDS_PER_SECOND))


def _nanoseconds(time: QosTime) -> int:
    """Forever for all that middlewares have written for it: zero and 68 years and more."""
    if (time.sec, time.nsec) == (0, 0) or time.sec >= 0x7FFFFFFF:
        return FOREVER_NS
    return time.sec * NANOSECONDS_PER_SECOND + time.nsec
