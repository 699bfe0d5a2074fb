# SPDX-License-Identifier: Apache-2.0
"""What is seen and what is remembered become one BEV feature.

The queue by time and by distance and the recurrent state that changes near the vehicle alone
are those of the second seed's lecture; the GRU is that of Ballas et al., "Delving Deeper into
Convolutional Networks for Learning Video Representations", 2016. Both begin as a memory that
changes nothing: their last convolution is zero at first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bev_perception.geometry import BevGrid
from bev_perception.geometry.planar import PlanarPose
from bev_perception.model.alignment import aligned
from bev_perception.model.config import SegnetConfig
from bev_perception.model.feature_memory import (
    SECOND,
    Entry,
    GroundState,
    Kinematics,
    MemoryStep,
    QueueState,
    next_due_ns,
)
from bev_perception.model.memory_config import MemoryConfig
from bev_perception.model.norm import InstanceNorm

FREQUENCIES = (1.0, 2.0)
"""Periods of the position encoding over half of the grid."""

POSITIONS = 4 * len(FREQUENCIES)
KINEMATICS = 3
SLOT_VALUES = 5
"""Per feature of the queue: whether there is one, its age, x, y and turn of the motion."""


def make_memory(config: SegnetConfig) -> QueueFusion | GruFusion | None:
    """The fusion that a configuration asks for; None for a network without memory."""
    if not config.memory.is_on:
        return None
    return QueueFusion(config) if config.memory.kind == "queue" else GruFusion(config)


def position_encoding(grid: BevGrid) -> Tensor:
    """(1, POSITIONS, Y, X) sines and cosines of x and y of the cells, float32."""
    centers = grid.cell_centers
    half = max(abs(grid.x_min), abs(grid.x_max), abs(grid.y_min), abs(grid.y_max))
    angles = [np.pi * factor * centers / half for factor in FREQUENCIES]
    waves = np.concatenate([wave(angle) for angle in angles for wave in (np.sin, np.cos)], axis=-1)
    return torch.from_numpy(waves.astype(np.float32)).permute(2, 0, 1)[None].contiguous()


class _Fusion(nn.Module):
    """What both kinds have: where a cell is and how the vehicle moves, as channels.

    Channels that are constant over the plane pass a 1x1 convolution, which is a linear map.
    """

    positions: Tensor

    def __init__(self, config: SegnetConfig, channels: int, scalars: int) -> None:
        super().__init__()
        self.grid = config.grid
        self.config: MemoryConfig = config.memory
        self.register_buffer("positions", position_encoding(config.grid), persistent=False)
        self.place = nn.Conv2d(POSITIONS, channels, 1, bias=False)
        self.scalars = nn.Linear(scalars, channels)
        self.to_bev = nn.Conv2d(config.latent_dim, config.latent_dim, 1)
        nn.init.zeros_(self.to_bev.weight)
        assert self.to_bev.bias is not None
        nn.init.zeros_(self.to_bev.bias)

    def constant(self, rows: Sequence[np.ndarray], like: Tensor) -> Tensor:
        """Scalars (scalars,) of each sample as channels (B, channels, 1, 1)."""
        values = torch.from_numpy(np.stack(rows).astype(np.float32))
        values = values.to(like.device, self.scalars.weight.dtype)
        mapped: Tensor = self.scalars(values)[:, :, None, None]
        return mapped


class QueueFusion(_Fusion):
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
        mixed = self.norm(self.mix(_channels_last(torch.cat([bev, *slots], 1))) + self._place(bev))
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
                features.append(_channels_last(entry.feature[None].to(bev)))
                motions.append(motion)
        empty = _channels_last(bev.new_zeros(1, channels, *shape)), bev.new_zeros(1, 1, *shape)
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


class GruFusion(_Fusion):
    """A convolutional GRU whose state lies on the ground.

    Gates and candidate are computed where the vehicle is now, from the state aligned to it. What
    they change is aligned back: state <- (1 - A z) state + A (z candidate), A the alignment. So a
    cell that the gate leaves alone keeps its value, however often the vehicle moves; a
    state that is resampled at every set would be blurred by a metre within seconds.
    """

    def __init__(self, config: SegnetConfig) -> None:
        latent = config.latent_dim
        super().__init__(config, 3 * latent, KINEMATICS + 1)
        self.gates = nn.Conv2d(2 * latent + 1, 2 * latent, 3, padding=1)
        self.candidate = nn.Conv2d(2 * latent + 1, latent, 3, padding=1)
        near = np.linalg.norm(config.grid.cell_centers, axis=-1) <= config.memory.reach_m
        self.near: Tensor
        self.register_buffer("near", torch.from_numpy(near.astype(np.float32)), persistent=False)

    def forward(self, bev: Tensor, step: MemoryStep, seen: Tensor) -> Tensor:
        """BEV features (B, C, Y, X) with what is remembered; stores the new states.

        Args:
            bev: of the lift.
            step: of the B streams.
            seen: (B, 1, Y, X) bool, cells at which cameras look; the others stay as they are.
        """
        begun = [memory.begin(moment) for memory, moment in zip(step.memories, step.moments)]
        states = self._stacked(bev, step, [state for state, _ in begun])
        motions = [_motion(state, moment) for state, moment in zip(states, step.moments)]
        on_ground = torch.cat([_channels_last(_values(state)[None]) for state in states])
        before, known = aligned(on_ground, motions, self.grid).split([bev.shape[1], 1], 1)
        scalars = [np.append(motion.scaled, float(not state.is_empty)) for state, motion in begun]
        update, candidate = self._cell(bev, before, known, scalars)
        open_cells = (seen.to(bev) * self.near.to(bev.dtype)).expand(len(bev), -1, -1, -1)
        update = update * open_cells
        after = before + update * (candidate - before)
        self._store(step, states, motions, on_ground, (update, update * candidate, open_cells))
        fused: Tensor = bev + self.to_bev(after)
        return fused

    def observe(self, bev: Tensor, step: MemoryStep, seen: Tensor) -> None:
        """Changes the states as forward does; the answer costs next to nothing here."""
        self(bev, step, seen)

    def _cell(
        self, bev: Tensor, before: Tensor, known: Tensor, scalars: Sequence[np.ndarray]
    ) -> tuple[Tensor, Tensor]:
        """How much of each cell is new (B, C, Y, X), and what it would be."""
        latent = bev.shape[1]
        around = self.place(self.positions.to(bev.dtype)) + self.constant(scalars, bev)
        gates = self.gates(_channels_last(torch.cat([bev, before, known], 1)))
        reset, update = (gates + around[:, : 2 * latent]).sigmoid().split(latent, 1)
        seen_before = _channels_last(torch.cat([bev, reset * before, known], 1))
        candidate = (self.candidate(seen_before) + around[:, 2 * latent :]).tanh()
        return 1.0 - known * (1.0 - update), candidate  # all is new where nothing was known

    def _stacked(
        self, bev: Tensor, step: MemoryStep, states: Sequence[object]
    ) -> list[GroundState]:
        """States with values, anchored where the vehicle is near."""
        ready = []
        for state, moment in zip(states, step.moments):
            assert isinstance(state, GroundState)
            if state.values is None:
                empty = bev.new_zeros(bev.shape[1] + 1, *bev.shape[2:])
                here = PlanarPose() if moment is None else moment.world_T_level
                state = GroundState(empty, here)
            elif moment is not None:
                state = replace(state, values=state.values.to(bev))
                state = self._anchored(state, moment.world_T_level)
            ready.append(state)
        return ready

    def _anchored(self, state: GroundState, world_T_level: PlanarPose) -> GroundState:
        """Its grid moved to the vehicle where that has left it too far behind."""
        motion = state.world_T_anchor.inverse() @ world_T_level
        turn_deg = abs(np.degrees(motion.yaw))
        if motion.distance <= self.config.anchor_m and turn_deg <= self.config.anchor_deg:
            return state
        here = aligned(_values(state)[None], [motion], self.grid)[0]
        return replace(state, values=here, world_T_anchor=world_T_level)

    def _store(
        self,
        step: MemoryStep,
        states: Sequence[GroundState],
        anchor_T_here: Sequence[PlanarPose],
        on_ground: Tensor,
        changes: tuple[Tensor, Tensor, Tensor],
    ) -> None:
        """Changes the states that are due, where they lie."""
        interval_s = self.config.state_interval_s
        due = [
            None if moment is None else next_due_ns(moment.stamp_ns, state.due_ns, interval_s)
            for state, moment in zip(states, step.moments)
        ]
        if all(at_ns is None or at_ns == state.due_ns for at_ns, state in zip(due, states)):
            for memory, state in zip(step.memories, states):
                memory.store(state)
            return
        here_T_anchor = [motion.inverse() for motion in anchor_T_here]
        latent = on_ground.shape[1] - 1
        moved = aligned(_channels_last(torch.cat(changes, 1)), here_T_anchor, self.grid)
        share, value, looked_at = moved.split([latent, latent, 1], 1)
        kept, known = on_ground.split([latent, 1], 1)
        values = torch.cat([kept * (1.0 - share) + value, torch.maximum(known, looked_at)], 1)
        for index, (memory, moment) in enumerate(zip(step.memories, step.moments)):
            state, due_ns = states[index], due[index]
            if moment is not None and due_ns != state.due_ns:
                here = state.world_T_anchor
                state = GroundState(values[index], here, moment.stamp_ns, due_ns)
            memory.store(state)


def _placed(state: QueueState, config: MemoryConfig) -> list[tuple[int, Entry]]:
    """Entries by the slot that they fill."""
    by_distance = enumerate(state.by_distance, start=config.time_slots)
    return [*enumerate(state.by_time), *by_distance]


def _motion(state: GroundState, moment: object) -> PlanarPose:
    """``anchor_T_here``."""
    world_T_level = getattr(moment, "world_T_level", state.world_T_anchor)
    return state.world_T_anchor.inverse() @ world_T_level


def _values(state: GroundState) -> Tensor:
    assert state.values is not None
    return state.values


def _channels_last(plane: Tensor) -> Tensor:
    return plane.contiguous(memory_format=torch.channels_last)
