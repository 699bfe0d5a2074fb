# SPDX-License-Identifier: Apache-2.0
"""What the synchroniser counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

DROP_CAUSES = (
    "late",
    "duplicate",
    "out of order",
    "unmatched",
    "surplus",
    "overflow",
    "clock jump",
    "undecodable",
)
"""Why a frame is in no set.

late: its moment had been given out already. duplicate: same camera and stamp as the one
before. out of order: older than the one before of the same camera. unmatched: fewer than
min_cameras came to its moment. surplus: its camera is faster than others, which have no frame
for its moment. overflow: its queue was full. clock jump: the clock was set back while it waited.
undecodable: whoever feeds the synchroniser could not read the image and says so; it was not
received.
"""


@dataclass
class SynchronizerStatistics:
    """What became of all frames so far.

    Attributes:
        received: frames by camera.
        dropped: by camera, by cause (DROP_CAUSES).
        stamp_ranges_ns: (first, last) stamp by camera, nanoseconds; only cameras that came.
        complete_sets, partial_sets: sets given out.
        clock_jumps: how often the clock was set back.
    """

    received: Counter[str] = field(default_factory=Counter)
    dropped: dict[str, Counter[str]] = field(default_factory=dict)
    stamp_ranges_ns: dict[str, tuple[int, int]] = field(default_factory=dict)
    complete_sets: int = 0
    partial_sets: int = 0
    clock_jumps: int = 0

    @classmethod
    def of(cls, cameras: Iterable[str]) -> SynchronizerStatistics:
        """Nothing received yet."""
        return cls(dropped={name: Counter() for name in cameras})

    def count_received(self, camera: str, stamp_ns: int) -> None:
        """A frame came."""
        self.received[camera] += 1
        first, last = self.stamp_ranges_ns.get(camera, (stamp_ns, stamp_ns))
        self.stamp_ranges_ns[camera] = (min(first, stamp_ns), max(last, stamp_ns))

    def count_dropped(self, camera: str, cause: str) -> None:
        """A frame will be in no set, for one of DROP_CAUSES."""
        self.dropped[camera][cause] += 1

    @property
    def total_dropped(self) -> int:
        """Frames in no set, all cameras and causes."""
        return sum(sum(causes.values()) for causes in self.dropped.values())

    def describe(self) -> str:
        """One line for people."""
        causes: Counter[str] = Counter()
        for by_cause in self.dropped.values():
            causes.update(by_cause)
        drops = ", ".join(f"{cause} {count}" for cause, count in causes.items()) or "none"
        return (
            f"{self.complete_sets} complete and {self.partial_sets} partial sets of "
            f"{sum(self.received.values())} frames; dropped: {drops}; "
            f"clock jumps: {self.clock_jumps}"
        )
