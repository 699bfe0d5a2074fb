# SPDX-License-Identifier: Apache-2.0
"""What one stream of sets left behind, and when that is worth nothing any more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.geometry.planar import EgoMoment, PlanarPose
from bev_perception.model.continuity import discontinuity
from bev_perception.model.memory_config import MemoryConfig

SECOND = 1_000_000_000


@dataclass(frozen=True, eq=False)
class Entry:
    """A BEV feature of a set before.

    Attributes:
        moment: of that set.
        feature: (C, Y, X) in its levelled base_link.
    """

    moment: EgoMoment
    feature: Tensor


@dataclass(frozen=True, eq=False)
class QueueState:
    """Features taken by time and by distance, newest first.

    Attributes:
        by_time, by_distance: entries; one that was due for both is in both.
        due_ns: when the next one is due by time; None for at once.
    """

    by_time: tuple[Entry, ...] = ()
    by_distance: tuple[Entry, ...] = ()
    due_ns: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is remembered."""
        return not self.by_time and not self.by_distance

    @property
    def taken_ns(self) -> int | None:
        """Stamp of the set that it took last; None where it holds nothing."""
        newest = (*self.by_time[:1], *self.by_distance[:1])
        return max((entry.moment.stamp_ns for entry in newest), default=None)

    def without_old(self, stamp_ns: int, config: MemoryConfig) -> QueueState:
        """Less what was taken by time too long ago."""
        oldest = stamp_ns - int(config.max_age_s * SECOND)
        young = tuple(entry for entry in self.by_time if entry.moment.stamp_ns >= oldest)
        return self if len(young) == len(self.by_time) else replace(self, by_time=young)

    def pushed(self, entry: Entry, config: MemoryConfig) -> QueueState:
        """With the entry where it is due."""
        stamp_ns = entry.moment.stamp_ns
        by_time, due_ns = self.by_time, next_due_ns(stamp_ns, self.due_ns, config.interval_s)
        if due_ns != self.due_ns:
            by_time = (entry, *by_time)[: config.time_slots]
        by_distance = self.by_distance
        if config.distance_slots and self._is_far(entry.moment, config.distance_m):
            by_distance = (entry, *by_distance)[: config.distance_slots]
        return QueueState(by_time, by_distance, due_ns)

    def _is_far(self, moment: EgoMoment, distance_m: float) -> bool:
        if not self.by_distance:
            return True
        last = self.by_distance[0].moment.world_T_level
        moved = math.hypot(moment.world_T_level.x - last.x, moment.world_T_level.y - last.y)
        return moved >= distance_m


@dataclass(frozen=True, eq=False)
class GroundState:
    """A recurrent state that lies still on the ground.

    Attributes:
        values: (C + 1, Y, X): the state, then how much of each cell is known, 0 to 1.
        world_T_anchor: where its grid lies.
        taken_ns: stamp of the set that changed it last; None where nothing did.
        due_ns: when the next one is to; None for at once.
    """

    values: Tensor | None = None
    world_T_anchor: PlanarPose = field(default_factory=PlanarPose)
    taken_ns: int | None = None
    due_ns: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is remembered."""
        return self.values is None


State = QueueState | GroundState


def next_due_ns(stamp_ns: int, due_ns: int | None, interval_s: float) -> int:
    """When a set is to be remembered after one that came; due_ns itself if that came too early.

    Due moments keep their beat, so that the mean rate is as configured however stamps jitter.
    What comes up to a tenth of the interval early is in time.

    Args:
        stamp_ns: of the set that came.
        due_ns: when one was to come; None for at once.
        interval_s: seconds from one to the next; 0 takes every set.
    """
    interval = max(int(interval_s * SECOND), 1)
    late = 0 if due_ns is None else stamp_ns - due_ns
    if due_ns is not None and late < -interval // 10:
        return due_ns
    return stamp_ns - (late % interval if late > 0 else late) + interval


@dataclass(frozen=True)
class Kinematics:
    """How the vehicle moved between the last two sets.

    Attributes:
        speed: metres per second.
        yaw_rate: radians per second.
        since_s: seconds since the memory took in a set, 0 where it holds nothing.
    """

    speed: float = 0.0
    yaw_rate: float = 0.0
    since_s: float = 0.0

    @property
    def scaled(self) -> NDArray[np.float32]:
        """(3,) of the order of 1."""
        return np.array([self.speed / 10.0, self.yaw_rate, self.since_s], dtype=np.float32)


class FeatureMemory:
    """The memory of one stream; begin and store take turns, for one set after the other.

    It empties itself where a set does not go on from the one before: time runs backwards or
    stands for too long, the vehicle is suddenly elsewhere, or its pose told in another frame. A
    set whose pose is not known neither uses nor changes it. A set that comes again (with the same
    stamp) is answered as before and changes nothing.

    Attributes:
        recalled: whether the set that began last had anything to remember.
        times_emptied: how often it emptied itself.
        reason: why it did so last; "" if it never did.
    """

    def __init__(self, config: MemoryConfig) -> None:
        self.config = config
        self.recalled = False
        self.times_emptied = 0
        self.reason = ""
        self._empty: State = QueueState() if config.kind == "queue" else GroundState()
        self._now = self._before = self._empty
        self._moment: EgoMoment | None = None
        self._earlier: EgoMoment | None = None
        self._kinematics = Kinematics()
        self._stores = False
        self._is_stored = False
        self._has_pose = True

    @property
    def status(self) -> str:
        """What it holds, and how often and why it emptied itself, in words for people."""
        if not self._has_pose:
            return "not used: the vehicle's pose is not known"
        if not self.times_emptied:
            return self._held
        return f"{self._held}; emptied {self.times_emptied}x, last because {self.reason}"

    @property
    def _held(self) -> str:
        if self._now.is_empty:
            return "empty"
        if isinstance(self._now, QueueState):
            return (
                f"{len(self._now.by_time)} features by time, "
                f"{len(self._now.by_distance)} by distance"
            )
        return "one state"

    def begin(self, moment: EgoMoment | None) -> tuple[State, Kinematics]:
        """What is remembered at the beginning of a set.

        Args:
            moment: of the set; None where the vehicle's pose is not known.
        """
        self._has_pose, self._stores = moment is not None, False
        if moment is None:
            self.recalled = False
            return self._empty, Kinematics()
        last = self._moment
        if last is not None and moment.stamp_ns == last.stamp_ns and self._is_near(last, moment):
            self.recalled, self._stores = not self._before.is_empty, not self._is_stored
            return self._before, self._kinematics
        reason = "" if last is None else discontinuity(self._earlier, last, moment, self.config)
        if reason:
            self._now = self._empty
            self.times_emptied += 1
            self.reason, last = reason, None
        if isinstance(self._now, QueueState):
            self._now = self._now.without_old(moment.stamp_ns, self.config)
        self._before, self._earlier, self._moment = self._now, last, moment
        self._stores, self._is_stored = True, False
        self._kinematics = Kinematics() if last is None else self._motion(last, moment)
        self.recalled = not self._now.is_empty
        return self._now, self._kinematics

    def store(self, state: State) -> None:
        """What is to be remembered after the set that began last."""
        if self._stores:
            self._now, self._is_stored = state, True

    def _motion(self, last: EgoMoment, moment: EgoMoment) -> Kinematics:
        """Between two sets; it tells no greater age than max_age_s, as features do not."""
        taken_ns = self._now.taken_ns
        since_s = 0.0 if taken_ns is None else (moment.stamp_ns - taken_ns) / SECOND
        return replace(kinematics(last, moment), since_s=min(since_s, self.config.max_age_s))

    def _is_near(self, last: EgoMoment, moment: EgoMoment) -> bool:
        return not discontinuity(None, last, moment, self.config)


def kinematics(last: EgoMoment, moment: EgoMoment) -> Kinematics:
    """Mean speed and yaw rate between two sets."""
    elapsed_s = (moment.stamp_ns - last.stamp_ns) / SECOND
    if elapsed_s <= 0.0:
        return Kinematics()
    motion = last.world_T_level.inverse() @ moment.world_T_level
    return Kinematics(motion.distance / elapsed_s, motion.yaw / elapsed_s)


@dataclass(frozen=True)
class MemoryStep:
    """The memories of B streams and the moments of the sets that go on with them.

    Attributes:
        memories: one per stream.
        moments: one each; None where the vehicle's pose is not known.
    """

    memories: Sequence[FeatureMemory]
    moments: Sequence[EgoMoment | None]

    @classmethod
    def nothing(cls, batch_size: int, config: MemoryConfig) -> MemoryStep:
        """Of sets without any before them."""
        return cls([FeatureMemory(config) for _ in range(batch_size)], [None] * batch_size)
