# SPDX-License-Identifier: Apache-2.0
"""Sets of before, kept in a queue, beside the one of now.

The queue by time and by distance is that of the second seed's lecture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bev_perception.model.alignment import aligned
from bev_perception.model.config import SegnetConfig
from bev_perception.model.feature_memory import SECOND, Entry, Kinematics, MemoryStep, QueueState
from bev_perception.model.fusion_channels import KINEMATICS, Fusion, channels_last
from bev_perception.model.memory_config import MemoryConfig
from bev_perception.model.norm import InstanceNorm

SLOT_VALUES = 5
"""Per feature of the queue: whether there is one, its age, x, y and turn of the motion."""


class QueueFusion(Fusion):
    """The features of the queue, aligned, beside the one of now: one convolution over all."""

    def __init__(self, config: SegnetConfig) -> None:
        slots, latent = config.memory.slots, config.latent_dim
        super().__init__(config, latent, KINEMATICS + SLOT_VALUES * slots)
        self.mix = nn.Conv2d((slots + 1) * latent + slots, latent, 3, padding=1, bias=False)
        self.norm = InstanceNorm()

    def forward(self, bev: Tensor, step: MemoryStep, seen: Tensor) -> Tensor:
        """BEV features (B, C, Y, X) with what is remembered; stores them.

        Args:
            bev: of the lift.
            step: of the B streams.
            seen: not used; see GruFusion.
        """
        begun = [memory.begin(moment) for memory, moment in zip(step.memories, step.moments)]
        slots, scalars = self._recalled(bev, step, begun)
        mixed = self.norm(self.mix(channels_last(torch.cat([bev, *slots], 1))) + self._place(bev))
        fused = bev + self.to_bev(functional.gelu(mixed + self.constant(scalars, bev)))
        self._push(bev, step, [state for state, _ in begun])
        return fused

    def observe(self, bev: Tensor, step: MemoryStep, seen: Tensor) -> None:
        """Stores BEV features as forward does, without an answer."""
        begun = [memory.begin(moment) for memory, moment in zip(step.memories, step.moments)]
        self._push(bev, step, [state for state, _ in begun])

    def _push(self, bev: Tensor, step: MemoryStep, states: Sequence[object]) -> None:
        for index, (memory, moment) in enumerate(zip(step.memories, step.moments)):
            if moment is not None:
                state = states[index]
                assert isinstance(state, QueueState)
                memory.store(state.pushed(Entry(moment, bev[index]), self.config))

    def _place(self, bev: Tensor) -> Tensor:
        placed: Tensor = self.place(self.positions.to(bev.dtype))
        return placed

    def _recalled(
        self, bev: Tensor, step: MemoryStep, begun: Sequence[tuple[object, Kinematics]]
    ) -> tuple[list[Tensor], list[np.ndarray]]:
        """Per slot features (B, C, Y, X) and what is known of them (B, 1, Y, X); the scalars."""
        count, channels, shape = self.config.slots, bev.shape[1], bev.shape[2:]
        values = np.zeros((len(bev), count, SLOT_VALUES), dtype=np.float32)
        places, features, motions = [], [], []
        for index, (state, _) in enumerate(begun):
            moment = step.moments[index]
            assert isinstance(state, QueueState)
            for slot, entry in _placed(state, self.config):
                assert moment is not None
                motion = entry.moment.world_T_level.inverse() @ moment.world_T_level
                age_s = (moment.stamp_ns - entry.moment.stamp_ns) / SECOND
                age_s = min(age_s, self.config.max_age_s)
                values[index, slot] = (1.0, age_s, motion.x / 10.0, motion.y / 10.0, motion.yaw)
                places.append((index, slot))
                features.append(channels_last(entry.feature[None].to(bev)))
                motions.append(motion)
        empty = channels_last(bev.new_zeros(1, channels, *shape)), bev.new_zeros(1, 1, *shape)
        filled = {}
        if features:
            here = aligned(torch.cat(features), motions, self.grid)
            known = aligned(here.new_ones(len(here), 1, *shape), motions, self.grid)
            filled = dict(zip(places, zip(here.split(1), known.split(1))))
        slots = [
            [
                torch.cat(planes)
                for planes in zip(*(filled.get((b, s), empty) for b in range(len(bev))))
            ]
            for s in range(count)
        ]
        scalars = [
            np.concatenate([motion.scaled, row.ravel()]) for (_, motion), row in zip(begun, values)
        ]
        return [plane for pair in slots for plane in pair], scalars


def _placed(state: QueueState, config: MemoryConfig) -> list[tuple[int, Entry]]:
    """Entries by the slot that they fill."""
    by_distance = enumerate(state.by_distance, start=config.time_slots)
    return [*enumerate(state.by_time), *by_distance]
