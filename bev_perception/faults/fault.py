# SPDX-License-Identifier: Apache-2.0
"""What a fault is, and how several are applied to one stream of messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from bev_perception.faults.delivery import Delivery, Kind

Effect = Callable[[Delivery], Iterable[Delivery]]
"""What becomes of a delivery: none when it is lost, several when others join it.

It never changes the message that it is given: it hands on another one.
"""


@dataclass(frozen=True)
class Choice:
    """What of a stream is hit, and when.

    Attributes:
        cameras: whose images and CameraInfo; empty for all.
        frames: child frames whose transforms; empty for all.
        start_ns, stop_ns: of the time of arrival; None for no limit, stop excluded.
        seed: of what is random.
    """

    cameras: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()
    start_ns: int | None = None
    stop_ns: int | None = None
    seed: int = 0

    def holds(self, delivery: Delivery) -> bool:
        """Whether a delivery is hit, by its camera and its time."""
        if self.cameras and delivery.camera and delivery.camera not in self.cameras:
            return False
        if self.start_ns is not None and delivery.time_ns < self.start_ns:
            return False
        return self.stop_ns is None or delivery.time_ns < self.stop_ns


ALL = Choice()
"""Everything, always."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        name: key in FAULTS.
        text: what happens, in a few words.
        kinds: of the messages that it changes.
        make: an effect with a memory of its own.
    """

    name: str
    text: str
    kinds: frozenset[Kind]
    make: Callable[[Choice], Effect]


@dataclass(frozen=True)
class Injection:
    """A fault, and what it hits.

    Attributes:
        fault: for example FAULTS["frozen"].
        choice: cameras, frames and times.
    """

    fault: Fault
    choice: Choice = field(default=ALL)


class Injector:
    """Applies faults to a stream, the first one first; what comes out of one goes into the next.

    Args:
        injections: of the stream.
    """

    def __init__(self, injections: Sequence[Injection] = ()) -> None:
        self._stages = [
            (entry.fault.kinds, entry.choice, entry.fault.make(entry.choice))
            for entry in injections
        ]

    def feed(self, delivery: Delivery) -> list[Delivery]:
        """What arrives instead of a delivery; times may be later than its own, never earlier."""
        deliveries = [delivery]
        for kinds, choice, effect in self._stages:
            after: list[Delivery] = []
            for entry in deliveries:
                hit = entry.kind in kinds and choice.holds(entry)
                after += effect(entry) if hit else (entry,)
            deliveries = after
        return deliveries
