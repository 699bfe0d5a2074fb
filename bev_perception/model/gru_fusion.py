# SPDX-License-Identifier: Apache-2.0
"""A recurrent state that lies on the ground and changes near the vehicle alone.

That is the spatial RNN of the second seed's lecture; the GRU is that of Ballas et al., "Delving
Deeper into Convolutional Networks for Learning Video Representations", 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bev_perception.geometry.planar import PlanarPose
from bev_perception.model.alignment import aligned
from bev_perception.model.config import SegnetConfig
from bev_perception.model.feature_memory import GroundState, MemoryStep, next_due_ns
from bev_perception.model.fusion_channels import KINEMATICS, Fusion, channels_last


class GruFusion(Fusion):
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
        self.window = _window(near)

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
        on_ground = torch.cat([channels_last(_values(state)[None]) for state in states])
        before, known = aligned(on_ground, motions, self.grid).split([bev.shape[1], 1], 1)
        scalars = [np.append(motion.scaled, float(not state.is_empty)) for state, motion in begun]
        update, candidate = self._cell_nearby(bev, before, known, scalars)
        open_cells = (seen.to(bev) * self.near.to(bev.dtype)).expand(len(bev), -1, -1, -1)
        update = update * open_cells
        after = before + update * (candidate - before)
        self._store(step, states, motions, on_ground, (update, update * candidate, open_cells))
        fused: Tensor = bev + self.to_bev(after)
        return fused

    def observe(self, bev: Tensor, step: MemoryStep, seen: Tensor) -> None:
        """Changes the states as forward does; the answer costs next to nothing here."""
        self(bev, step, seen)

    def _cell_nearby(
        self, bev: Tensor, before: Tensor, known: Tensor, scalars: Sequence[np.ndarray]
    ) -> tuple[Tensor, Tensor]:
        """How much of each cell is new (B, C, Y, X), and what it would be.

        Computed in the window around what lies within reach; zeros elsewhere, which change nothing.
        """
        bev, before, known, positions = (
            plane[self.window] for plane in (bev, before, known, self.positions)
        )
        high, wide = self.near.shape
        rows, columns = self.window[2:]
        margins = (columns.start, wide - columns.stop, rows.start, high - rows.stop)
        update, candidate = self._cell(bev, before, known, positions, scalars)
        if not any(margins):
            return update, candidate
        return functional.pad(update, margins), functional.pad(candidate, margins)

    def _cell(
        self,
        bev: Tensor,
        before: Tensor,
        known: Tensor,
        positions: Tensor,
        scalars: Sequence[np.ndarray],
    ) -> tuple[Tensor, Tensor]:
        latent = bev.shape[1]
        around = self.place(positions.to(bev.dtype)) + self.constant(scalars, bev)
        gates = self.gates(channels_last(torch.cat([bev, before, known], 1)))
        reset, update = (gates + around[:, : 2 * latent]).sigmoid().split(latent, 1)
        seen_before = channels_last(torch.cat([bev, reset * before, known], 1))
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
        moved = aligned(channels_last(torch.cat(changes, 1)), here_T_anchor, self.grid)
        share, value, looked_at = moved.split([latent, latent, 1], 1)
        kept, known = on_ground.split([latent, 1], 1)
        values = torch.cat([kept * (1.0 - share) + value, torch.maximum(known, looked_at)], 1)
        for index, (memory, moment) in enumerate(zip(step.memories, step.moments)):
            state, due_ns = states[index], due[index]
            if moment is not None and due_ns != state.due_ns:
                here = state.world_T_anchor
                state = GroundState(values[index], here, moment.stamp_ns, due_ns)
            memory.store(state)


def _window(near: np.ndarray) -> tuple[slice, slice, slice, slice]:
    """Of (B, C, Y, X): the cells that are near and two rows and columns around them.

    Two convolutions of 3x3 follow each other, so what is near is as if all had been computed.
    """
    bounds = []
    for axis in (1, 0):
        places = np.flatnonzero(near.any(axis=axis))
        first, last = (places[0], places[-1]) if len(places) else (0, -1)
        length = near.shape[1 - axis]
        bounds.append(slice(max(0, int(first) - 2), min(length, int(last) + 3)))
    return slice(None), slice(None), bounds[0], bounds[1]


def _motion(state: GroundState, moment: object) -> PlanarPose:
    """``anchor_T_here``."""
    world_T_level = getattr(moment, "world_T_level", state.world_T_anchor)
    return state.world_T_anchor.inverse() @ world_T_level


def _values(state: GroundState) -> Tensor:
    assert state.values is not None
    return state.values
