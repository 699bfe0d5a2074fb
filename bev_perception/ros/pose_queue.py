# SPDX-License-Identifier: Apache-2.0
"""Sets that wait for the ego pose at their stamp."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from bev_perception.ros.ego_pose import EgoPose, EgoPoses

MAX_WAITING = 8
"""Sets held at most; images are large."""

_STANDING_CLOCK_FACTOR = 10
"""A set waits this many times longer on the steady clock when the node's clock stands still."""


class StampedSet(Protocol):
    """A synchronised set."""

    @property
    def stamp_ns(self) -> int:
        """Stamp whose pose is wanted, nanoseconds."""
        ...


Waiting = TypeVar("Waiting", bound=StampedSet)


@dataclass(frozen=True)
class _Entry(Generic[Waiting]):
    waiting: Waiting
    since_ns: int
    since_steady_ns: int


class PoseQueue(Generic[Waiting]):
    """Keeps sets in order until their pose is known or waited for long enough.

    Several may wait at a time: if a newer set took the place of the one before, poses that
    come later than the next image would starve the node.

    Args:
        poses: to ask.
        timeout_ns: longest wait on the node's clock, nanoseconds.
    """

    def __init__(self, poses: EgoPoses, timeout_ns: int) -> None:
        self._poses = poses
        self._timeout_ns = timeout_ns
        self._queue: deque[_Entry[Waiting]] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, waiting: Waiting, now_ns: int, steady_ns: int) -> None:
        """A set begins to wait, at a time of the node's clock and of the steady one."""
        self._queue.append(_Entry(waiting, now_ns, steady_ns))

    def clear(self) -> list[Waiting]:
        """Forgets all; returns them."""
        forgotten = [entry.waiting for entry in self._queue]
        self._queue.clear()
        return forgotten

    def ready(self, now_ns: int, steady_ns: int) -> list[tuple[Waiting, EgoPose]]:
        """Sets, in order, that need not wait longer, each with the pose to use."""
        found: list[tuple[Waiting, EgoPose]] = []
        while self._queue:
            entry = self._queue[0]
            pose = self._poses.at(entry.waiting.stamp_ns)
            if not pose.is_final and not self._is_overdue(entry, now_ns, steady_ns):
                break
            self._queue.popleft()
            found.append((entry.waiting, pose))
        return found

    def _is_overdue(self, entry: _Entry[Waiting], now_ns: int, steady_ns: int) -> bool:
        waited_ns = now_ns - entry.since_ns
        steady_waited_ns = steady_ns - entry.since_steady_ns
        return (
            waited_ns >= self._timeout_ns
            or steady_waited_ns >= _STANDING_CLOCK_FACTOR * self._timeout_ns
            or len(self._queue) > MAX_WAITING
        )
