# SPDX-License-Identifier: Apache-2.0
"""The memory of a pipeline's stream: told where the vehicle is, and says when it is not used."""

from __future__ import annotations

import logging

from bev_perception.geometry import RigidTransform
from bev_perception.geometry.planar import EgoMoment, PlanarPose
from bev_perception.model.feature_memory import FeatureMemory, MemoryStep
from bev_perception.model.memory_config import MemoryConfig

_LOGGER = logging.getLogger(__name__)


class StreamMemory:
    """What a network remembers of one stream of sets; nothing for a network without memory.

    Args:
        config: of the network.
    """

    def __init__(self, config: MemoryConfig) -> None:
        self._memory = FeatureMemory(config) if config.is_on else None
        self._has_pose = True
        self._times_emptied = 0

    @property
    def status(self) -> str:
        """What is remembered, or why nothing is, in words for people; "" without memory."""
        return "" if self._memory is None else self._memory.status

    def step(
        self,
        stamp_ns: int,
        world_T_base: RigidTransform | None,
        level_T_base: RigidTransform,
        world_frame: str = "",
    ) -> MemoryStep | None:
        """For the engine, for one set; None for a network without memory.

        Args:
            stamp_ns: of the set.
            world_T_base: the vehicle's pose; without one the set is answered for itself.
            level_T_base: with which the map is levelled.
            world_frame: frame of that pose.
        """
        if self._memory is None:
            return None
        self._say(stamp_ns, world_T_base is not None)
        if world_T_base is None:
            return MemoryStep([self._memory], [None])
        world_T_level = PlanarPose.of(world_T_base @ level_T_base.inverse())
        return MemoryStep([self._memory], [EgoMoment(stamp_ns, world_T_level, world_frame)])

    def _say(self, stamp_ns: int, has_pose: bool) -> None:
        """Logs what changed since the set before."""
        if self._memory is not None and self._memory.times_emptied != self._times_emptied:
            self._times_emptied = self._memory.times_emptied
            _LOGGER.info("the memory emptied itself: %s", self._memory.reason)
        if self._has_pose and not has_pose:
            _LOGGER.warning(
                "memory is not used from %.3f s on: the vehicle's pose is not known there; the "
                "network needs transforms of base_link to map or odom to remember",
                stamp_ns / 1e9,
            )
        self._has_pose = has_pose
