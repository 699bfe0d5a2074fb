# SPDX-License-Identifier: Apache-2.0
"""The memory of a pipeline's stream: told where the vehicle is, and says when it is not used."""

from __future__ import annotations

import logging

from bev_perception.geometry import FrameSet, RigidTransform
from bev_perception.geometry.planar import EgoMoment, PlanarPose
from bev_perception.model.feature_memory import FeatureMemory, MemoryStep
from bev_perception.model.memory_config import MemoryConfig

_LOGGER = logging.getLogger(__name__)
SECOND = 1_000_000_000
SAME_SPELL_NS = 10 * SECOND
"""Poses that are late again within this time are told of once: they come and go with every set."""


class StreamMemory:
    """What a network remembers of one stream of sets; nothing for a network without memory.

    A pose that is older than its set tells no place at the set's stamp: features would be aligned
    wrongly by what the vehicle has gone since. Such a set is one without a pose.

    Args:
        config: of the network.
    """

    def __init__(self, config: MemoryConfig) -> None:
        self._memory = FeatureMemory(config) if config.is_on else None
        self._has_pose = True
        self._age_ns = 0
        self._late_ns: int | None = None
        self._times_emptied = 0

    @property
    def status(self) -> str:
        """What is remembered, or why nothing is, in words for people; "" without memory."""
        if self._memory is None:
            return ""
        if self._age_ns > 0:
            return f"not used: {_age(self._age_ns)}"
        return self._memory.status

    def step(self, frame_set: FrameSet, level_T_base: RigidTransform) -> MemoryStep | None:
        """For the engine, for one set; None for a network without memory.

        Args:
            frame_set: whose pose counts; without one of its own stamp it is answered for itself.
            level_T_base: with which the map is levelled.
        """
        if self._memory is None:
            return None
        stamp_ns, world_T_base = frame_set.stamp_ns, frame_set.world_T_base
        self._age_ns = 0 if world_T_base is None else frame_set.pose_age_ns
        self._say(stamp_ns, world_T_base is not None)
        if world_T_base is None or self._age_ns > 0:
            return MemoryStep([self._memory], [None])
        world_T_level = PlanarPose.of(world_T_base @ level_T_base.inverse())
        return MemoryStep(
            [self._memory], [EgoMoment(stamp_ns, world_T_level, frame_set.world_frame)]
        )

    def _say(self, stamp_ns: int, has_pose: bool) -> None:
        """Logs what changed since the set before."""
        if self._memory is not None and self._memory.times_emptied != self._times_emptied:
            self._times_emptied = self._memory.times_emptied
            _LOGGER.info("the memory emptied itself: %s", self._memory.reason)
        if self._has_pose and not has_pose:
            _LOGGER.warning(
                "memory is not used from %.3f s on: the vehicle's pose is not known there; the "
                "network needs transforms of base_link to map or odom to remember",
                stamp_ns / SECOND,
            )
        self._has_pose = has_pose
        if self._age_ns > 0:
            if self._late_ns is None or abs(stamp_ns - self._late_ns) > SAME_SPELL_NS:
                _LOGGER.warning(
                    "memory is not used at %.3f s, nor in other sets whose pose comes too late: "
                    "%s. Send transforms faster, or let sets wait for them longer (tf_timeout_ms)",
                    stamp_ns / SECOND,
                    _age(self._age_ns),
                )
            self._late_ns = stamp_ns


def _age(age_ns: int) -> str:
    return f"the vehicle's newest pose is {age_ns / SECOND:.2g} s older than the images"
