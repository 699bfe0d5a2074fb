# SPDX-License-Identifier: Apache-2.0
"""Whether images of several cameras come together, from the synchroniser's counts."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from bev_perception.perception import SynchronizerStatistics
from bev_perception.ros.camera_status import Level, Status
from bev_perception.ros.event_stream import SECOND
from bev_perception.ros.lingering import Lingering

_WINDOW_NS = 3 * SECOND
_PARTIAL_SHARE = 0.1


@dataclass(frozen=True)
class _Snapshot:
    now_ns: int
    complete: int
    partial: int
    received: int
    clock_jumps: int


class SynchronizationMonitor:
    """Compares the synchroniser's counts with those of a while ago."""

    def __init__(self) -> None:
        self._snapshots: deque[_Snapshot] = deque()
        self._partial, self._jumps = Lingering(), Lingering()

    def status(self, statistics: SynchronizerStatistics, now_ns: int) -> Status:
        """OK; WARN when sets lack cameras; ERROR when images make no sets; STALE without images.

        Args:
            statistics: of the synchroniser in use, counts since its start.
            now_ns: steady clock.
        """
        newest = _Snapshot(
            now_ns,
            statistics.complete_sets,
            statistics.partial_sets,
            sum(statistics.received.values()),
            statistics.clock_jumps,
        )
        last = self._snapshots[-1] if self._snapshots else None
        if newest.partial > (last.partial if last else 0):
            self._partial.note(now_ns)
        if last is not None and newest.clock_jumps > last.clock_jumps:
            self._jumps.note(now_ns)
        oldest = self._oldest(newest)
        complete, partial = newest.complete - oldest.complete, newest.partial - oldest.partial
        if not self._partial.holds(now_ns):
            complete, partial = complete + partial, 0
        level, text = _judged(complete, partial, newest.received - oldest.received)
        if level is Level.OK and self._jumps.holds(now_ns):
            level, text = (
                Level.WARN,
                (
                    "stamps have jumped back, and all that waited was dropped (a bag that loops "
                    "and a simulator that is reset do that; otherwise look at the cameras' clocks)"
                ),
            )
        return Status("synchronization", level, f"synchronization: {text}", _values(statistics))

    def _oldest(self, newest: _Snapshot) -> _Snapshot:
        """The counts a window ago; zero after the synchroniser or the clock began anew."""
        last = self._snapshots[-1] if self._snapshots else None
        if last and (newest.received < last.received or newest.now_ns < last.now_ns):
            self._snapshots.clear()
        if not self._snapshots:
            self._snapshots.append(_Snapshot(newest.now_ns, 0, 0, 0, 0))
        self._snapshots.append(newest)
        while len(self._snapshots) > 2 and newest.now_ns - self._snapshots[1].now_ns >= _WINDOW_NS:
            self._snapshots.popleft()
        return self._snapshots[0]


def _judged(complete: int, partial: int, received: int) -> tuple[Level, str]:
    """Of the counts of a window."""
    if not received:
        return Level.STALE, "no images come; see the cameras' statuses"
    if not complete + partial:
        return Level.ERROR, (
            f"{received} images but no set; compare the cameras' clocks, "
            f"sync_tolerance_ms and min_cameras"
        )
    if partial > _PARTIAL_SHARE * (complete + partial):
        return Level.WARN, (
            f"{partial} of {complete + partial} sets lack cameras; see the cameras' statuses"
        )
    return Level.OK, f"{complete} complete and {partial} partial sets of late"


def _values(statistics: SynchronizerStatistics) -> dict[str, str]:
    values = {
        "complete_sets": str(statistics.complete_sets),
        "partial_sets": str(statistics.partial_sets),
        "clock_jumps": str(statistics.clock_jumps),
        "dropped": str(statistics.total_dropped),
    }
    for camera, causes in statistics.dropped.items():
        for cause, count in sorted(Counter(causes).items()):
            values[f"dropped: {camera}: {cause}"] = str(count)
    return values
