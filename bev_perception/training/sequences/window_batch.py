# SPDX-License-Identifier: Apache-2.0
"""What one training step on windows works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.geometry.planar import EgoMoment
from bev_perception.model import LiftGeometry
from bev_perception.model.lift_geometry import batched
from bev_perception.training.batch import Batch, Example, collate, moved, stacked_maps

Moments = tuple[EgoMoment | None, ...]
"""When and where the vehicles of B windows were; None where that is not known."""


@dataclass(frozen=True)
class Look:
    """One set of one window.

    Attributes:
        example: images, geometry and, where the set is graded, targets that count.
        moment: None where the pose is not known, and for sets before the drive began.
        velocity: (2, Y, X) float32 metres per second; see make_velocity_targets.
        velocity_known: (Y, X) bool.
    """

    example: Example
    moment: EgoMoment | None
    velocity: NDArray[np.float32]
    velocity_known: NDArray[np.bool_]


@dataclass(frozen=True)
class Window:
    """Consecutive sets of one drive, oldest first.

    Attributes:
        history: what the network gets of each set that fills the memory, and its moment.
        graded: the sets that are judged, at least one.
    """

    history: tuple[tuple[Example, EgoMoment | None], ...]
    graded: tuple[Look, ...]


@dataclass(frozen=True)
class PastSets:
    """B sets that fill the memory.

    Attributes:
        images: (B, S, 3, H, W) uint8.
        taps: of the B rigs.
        moments: of the B vehicles.
        sensor_map: (B, channels, Y, X) float32; None for a network that takes images alone.
    """

    images: Tensor
    taps: LiftGeometry
    moments: Moments
    sensor_map: Tensor | None = None

    def to(self, device: torch.device | str, non_blocking: bool = False) -> PastSets:
        """On another device."""
        images = self.images.to(device, non_blocking=non_blocking)
        taps = self.taps.to(device, non_blocking=non_blocking)
        measured = moved(self.sensor_map, device, non_blocking)
        return PastSets(images, taps, self.moments, measured)


@dataclass(frozen=True)
class WindowBatch(Batch):
    """The last sets of B windows, as a batch of its own, and those before them.

    Attributes:
        moments: of the last sets.
        velocity: (B, 2, Y, X) float32 metres per second.
        velocity_known: (B, 1, Y, X) float32 of 0 and 1.
        earlier: graded sets before the last ones, oldest first.
        history: sets before those.
    """

    moments: Moments = ()
    velocity: Tensor | None = None
    velocity_known: Tensor | None = None
    earlier: tuple[WindowBatch, ...] = ()
    history: tuple[PastSets, ...] = ()

    @property
    def steps(self) -> tuple[WindowBatch, ...]:
        """All graded sets, oldest first."""
        return (*self.earlier, self)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> WindowBatch:
        """The batch on another device."""
        plain = vars(super().to(device, non_blocking))
        own = {
            "moments": self.moments,
            "velocity": moved(self.velocity, device, non_blocking),
            "velocity_known": moved(self.velocity_known, device, non_blocking),
            "earlier": tuple(step.to(device, non_blocking) for step in self.earlier),
            "history": tuple(past.to(device, non_blocking) for past in self.history),
        }
        return WindowBatch(**{**plain, **own})


def collate_windows(windows: Sequence[Window]) -> WindowBatch:
    """Stacks windows of equal length and rigs with equally many cameras."""
    *earlier, last = [_graded(looks) for looks in zip(*(window.graded for window in windows))]
    history = tuple(_past(sets) for sets in zip(*(window.history for window in windows)))
    return WindowBatch(**{**vars(last), "earlier": tuple(earlier), "history": history})


def _graded(looks: Sequence[Look]) -> WindowBatch:
    return WindowBatch(
        **vars(collate([look.example for look in looks])),
        moments=tuple(look.moment for look in looks),
        velocity=torch.from_numpy(np.stack([look.velocity for look in looks])),
        velocity_known=torch.from_numpy(
            np.stack([look.velocity_known for look in looks])[:, None].astype(np.float32)
        ),
    )


def _past(sets: Sequence[tuple[Example, EgoMoment | None]]) -> PastSets:
    examples, moments = zip(*sets)
    stacked = torch.from_numpy(np.stack([e.images for e in examples])).permute(0, 1, 4, 2, 3)
    measured = stacked_maps([e.sensor_map for e in examples])
    return PastSets(stacked, batched([e.taps for e in examples]), moments, measured)
