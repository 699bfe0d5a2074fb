# SPDX-License-Identifier: Apache-2.0
"""Which of the frames that wait make the next set, or whether it is waited for longer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Generic

from bev_perception.perception.camera_stream import CameraStream
from bev_perception.perception.narrower_sets import narrower
from bev_perception.perception.synchronized_set import Frame

OTHER_CLOCK = 10
"""Stamps that differ by more than this many timeouts come from clocks that disagree."""

_SLOWER = 1.3
"""A camera of so many times the period of another one is slower, however stamps jitter."""


class SetChoice(Generic[Frame]):
    """Chooses among the heads of the cameras' queues.

    Args:
        streams: of all cameras by name, shared with who fills and empties them.
        tolerance_ns, timeout_ns, max_queue: see Synchronizer.
    """

    def __init__(
        self,
        streams: Mapping[str, CameraStream[Frame]],
        tolerance_ns: int,
        timeout_ns: int,
        max_queue: int,
    ) -> None:
        self._streams = streams
        self._tolerance_ns, self._timeout_ns = tolerance_ns, timeout_ns
        self._max_queue = max_queue
        self._arrivals, self._undecided = 0, 0

    def note_arrival(self, stream: CameraStream[Frame]) -> None:
        """A frame of a camera came, whatever becomes of it."""
        self._arrivals += 1
        self._undecided += 1
        stream.last_arrival = self._arrivals

    def note_taken(self) -> None:
        """The frames of a choice have left their queues."""
        self._undecided = 0

    def members(self, give_up: bool) -> list[str] | None:
        """Cameras of the next set, by stamp; None to wait, which give_up rules out.

        At least one frame must wait.
        """
        heads = sorted(
            (stream.head_ns, name) for name, stream in self._streams.items() if stream.queue
        )
        anchor_ns = heads[0][0]
        group = [name for head_ns, name in heads if head_ns - anchor_ns <= self._tolerance_ns]
        give_up = give_up or self._timed_out(anchor_ns, group)
        awaited = [
            stream
            for stream in self._streams.values()
            if not stream.queue and not stream.is_silent(anchor_ns, self._timeout_ns)
        ]
        if awaited and not give_up:
            return None
        for stream in awaited:
            stream.note_missed(anchor_ns)
        first, narrower_ns = narrower([self._streams[name] for name in group])
        if not first:
            return group
        known = all(len(self._streams[name].queue) > 1 for name in group[:first])
        if known and narrower_ns <= self._tolerance_ns:
            return group[:first]
        return group if known or give_up else None

    def _timed_out(self, anchor_ns: int, group: Sequence[str]) -> bool:
        if self._undecided > self._max_queue:
            return True
        lagging = sum(
            stream.newest_ns is not None
            and stream.newest_ns < anchor_ns - OTHER_CLOCK * self._timeout_ns
            and stream.last_arrival > self._arrivals - self._max_queue
            for stream in self._streams.values()
        )
        if lagging > len(group):
            return False
        limit = anchor_ns + self._timeout_ns
        past = [
            name
            for name, stream in self._streams.items()
            if stream.newest_ns is not None and stream.newest_ns > limit
        ]
        return len(past) >= 2 or any(name in group for name in past)

    def is_surplus(self, members: Sequence[str]) -> bool:
        """Whether as many slower cameras or more go on behind, to come in a set of their own."""
        paces_ns = [self._streams[name].pace_ns or math.inf for name in members]
        slower = [
            stream
            for name, stream in self._streams.items()
            if name not in members
            and stream.queue
            and _SLOWER * max(paces_ns) <= (stream.pace_ns or 0.0) <= self._timeout_ns
        ]
        return len(slower) >= len(members)
