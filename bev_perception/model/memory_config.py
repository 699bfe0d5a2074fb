# SPDX-License-Identifier: Apache-2.0
"""What a network remembers of the sets before, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from bev_perception.errors import ConfigurationError

MEMORIES = {
    "none": "every set for itself",
    "queue": "BEV features of some sets before, aligned by ego motion, fused by convolution",
    "gru": "one state over the BEV, aligned by ego motion, changed by a convolutional GRU",
}


@dataclass(frozen=True)
class MemoryConfig:
    """A network's memory; all but ``kind`` are without meaning where it is "none".

    Attributes:
        kind: a key of MEMORIES.
        interval_s: the queue takes a feature every so many seconds, 0.027 for example.
        time_slots: features that the queue keeps by time.
        distance_m: it takes another one whenever the vehicle is so many metres from where it
            took the last one of these.
        distance_slots: features that it keeps by distance.
        max_age_s: features taken by time are dropped when they are older; those taken by
            distance stay, as a vehicle that waits at a crossing needs them, and from then on
            do not tell how much older they are.
        state_interval_s: the GRU's state changes every so many seconds, 0 for every set; sets
            between use it and leave it as it is.
        reach_m: the GRU's state changes within so many metres of the vehicle, where cameras look.
        anchor_m, anchor_deg: the GRU's state lies still on the ground until the vehicle has
            moved or turned by more than this, so that it is not blurred by every set.
        max_gap_s: a longer time between two sets empties the memory.
        max_speed_m_per_s, max_turn_deg_per_s: a faster motion is a jump and empties it, too.
    """

    kind: str = "none"
    interval_s: float = 0.5
    time_slots: int = 2
    distance_m: float = 1.0
    distance_slots: int = 2
    max_age_s: float = 5.0
    state_interval_s: float = 0.0
    reach_m: float = 50.0
    anchor_m: float = 4.0
    anchor_deg: float = 15.0
    max_gap_s: float = 3.0
    max_speed_m_per_s: float = 70.0
    max_turn_deg_per_s: float = 120.0

    def __post_init__(self) -> None:
        if self.kind not in MEMORIES:
            raise ConfigurationError(
                f"unknown memory.kind {self.kind!r}, expected one of {', '.join(MEMORIES)}"
            )
        for name in _POSITIVE:
            if not getattr(self, name) > 0.0:
                raise ConfigurationError(
                    f"memory.{name} must be positive, got {getattr(self, name)}"
                )
        if not self.state_interval_s >= 0.0:
            raise ConfigurationError(
                f"memory.state_interval_s must not be negative, got {self.state_interval_s}"
            )
        if min(self.time_slots, self.distance_slots) < 0:
            raise ConfigurationError(
                f"memory.time_slots and memory.distance_slots must not be negative, got "
                f"{self.time_slots} and {self.distance_slots}"
            )
        if self.kind == "queue" and not self.slots:
            raise ConfigurationError(
                "a memory of kind queue needs memory.time_slots or memory.distance_slots"
            )

    @property
    def is_on(self) -> bool:
        """Whether the network remembers anything."""
        return self.kind != "none"

    @property
    def slots(self) -> int:
        """Features that the queue holds at most."""
        return self.time_slots + self.distance_slots

    def to_dict(self) -> dict[str, Any]:
        """Plain values that from_dict restores."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MemoryConfig:
        """Inverse of to_dict.

        Raises:
            ConfigurationError: a key is unknown, or a value makes no memory.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigurationError(
                f"model.memory has unknown keys {', '.join(unknown)}; known are "
                f"{', '.join(sorted(known))}"
            )
        return cls(**values)


_POSITIVE = (
    "interval_s",
    "distance_m",
    "max_age_s",
    "reach_m",
    "anchor_m",
    "anchor_deg",
    "max_gap_s",
    "max_speed_m_per_s",
    "max_turn_deg_per_s",
)
