# SPDX-License-Identifier: Apache-2.0
"""Sets that wait for the ego pose at their stamp."""

from __future__ import annotations

from collections import deque
from typing import Generic, Protocol, TypeVar

from bev_perception.ros.ego_pose import EgoPose, EgoPoses

MAX_WAITING = 8
"""Sets held at most; images are large."""


class StampedSet(Protocol):
    """A synchronised set."""

    @property
    def stamp_ns(self) -> int:
        """Stamp whose pose is wanted, nanoseconds."""
        ...


Waiting = TypeVar("Waiting", bound=StampedSet)


class PoseQueue(Generic[Waiting]):
    """Keeps sets in order until their pose is known or waited for long enough.

    Several may wait at a time: if a newer set took the place of the one before, poses that
    come later than the next image would starve the node.

    Args:
        poses: to ask.
        timeout_ns: longest wait, nanoseconds of the clock that callers tell.
    """

    def __init__(self, poses: EgoPoses, timeout_ns: int) -> None:
        self._poses = poses
        self._timeout_ns = timeout_ns
        self._queue: deque[tuple[Waiting, int]] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, waiting: Waiting, now_ns: int) -> None:
        """A set begins to wait."""
        self._queue.append((waiting, now_ns))

    def clear(self) -> list[Waiting]:
        """Forgets all; returns them."""
        forgotten = [waiting for waiting, _ in self._queue]
        self._queue.clear()
        return forgotten

    def ready(self, now_ns: int) -> list[tuple[Waiting, EgoPose]]:
        """Sets, in order, that need not wait longer, each with the pose to use."""
        found: list[tuple[Waiting, EgoPose]] = []
        while self._queue:
            waiting, since_ns = self._queue[0]
            pose = self._poses.at(waiting.stamp_ns)
            overdue = now_ns - since_ns >= self._timeout_ns or len(self._queue) > MAX_WAITING
            if not pose.is_final and not overdue:
                break
            self._queue.popleft()
            found.append((waiting, pose))
        return found

    def wait_ns(self, now_ns: int) -> int:
        """How long the first set may wait on, nanoseconds; for a queue that is not empty."""
        return max(0, self._timeout_ns - (now_ns - self._queue[0][1]))

    def give_up(self, now_ns: int) -> list[tuple[Waiting, EgoPose]]:
        """The set that has waited longest, for whatever time, and those that need not wait on.

        For a clock that stands still, by which none ever waits too long.
        """
        if not self._queue:
            return []
        _, first_ns = self._queue[0]
        count = sum(since_ns == first_ns for _, since_ns in self._queue)
        oldest = [self._queue.popleft()[0] for _ in range(count)]
        given_up = [(waiting, self._poses.at(waiting.stamp_ns)) for waiting in oldest]
        return given_up + self.ready(now_ns)
