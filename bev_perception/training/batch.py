# SPDX-License-Identifier: Apache-2.0
"""What one training step works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.datasets.targets import Targets
from bev_perception.model import LiftGeometry
from bev_perception.model.lift_geometry import batched
from bev_perception.training.depth_supervision import depth_batch


@dataclass(frozen=True)
class Example:
    """One augmented sample, ready to be stacked.

    Attributes:
        images: (S, H, W, 3) uint8 RGB.
        taps: of its rig.
        targets: on the model's grid.
        depth: (S, rows, columns) of feature cells, see depth_targets; None where not taught.
        sensor_map: (1, channels, Y, X), see model.sensor_map; None for images alone.
    """

    images: NDArray[np.uint8]
    taps: LiftGeometry
    targets: Targets
    depth: NDArray[np.float32] | None = None
    sensor_map: Tensor | None = None


class CellLabels(Protocol):
    """What is taught of every cell of B moments; attributes as Batch has them."""

    @property
    def segmentation(self) -> Tensor: ...
    @property
    def valid(self) -> Tensor: ...
    @property
    def center(self) -> Tensor: ...
    @property
    def offset(self) -> Tensor: ...
    @property
    def occupied(self) -> Tensor: ...


@dataclass(frozen=True)
class Batch:
    """Several examples.

    Attributes:
        images: (B, S, 3, H, W) uint8, a view of channels-last memory.
        taps: of the B rigs.
        segmentation: (B, K, Y, X) float32 of 0 and 1, one channel per class.
        valid, center: (B, 1, Y, X) float32.
        offset: (B, 2, Y, X) float32 metres.
        depth: (B, S, rows, columns) float32 metres of feature cells, infinite where it is not
            known; None where depths are not taught.
        sensor_map: (B, channels, Y, X) float32; None for a network that takes images alone.
    """

    images: Tensor
    taps: LiftGeometry
    segmentation: Tensor
    valid: Tensor
    center: Tensor
    offset: Tensor
    depth: Tensor | None = field(default=None, kw_only=True)
    sensor_map: Tensor | None = field(default=None, kw_only=True)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def occupied(self) -> Tensor:
        """(B, 1, Y, X) of 0 and 1: inside an object of any class."""
        return self.segmentation.amax(dim=1, keepdim=True)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The batch on another device."""
        return Batch(
            self.images.to(device, non_blocking=non_blocking),
            self.taps.to(device, non_blocking=non_blocking),
            self.segmentation.to(device, non_blocking=non_blocking),
            self.valid.to(device, non_blocking=non_blocking),
            self.center.to(device, non_blocking=non_blocking),
            self.offset.to(device, non_blocking=non_blocking),
            depth=moved(self.depth, device, non_blocking),
            sensor_map=moved(self.sensor_map, device, non_blocking),
        )


def collate(examples: Sequence[Example]) -> Batch:
    """Stacks examples of rigs with equally many cameras."""
    targets = [example.targets for example in examples]
    images = torch.from_numpy(np.stack([example.images for example in examples]))
    return Batch(
        images=images.permute(0, 1, 4, 2, 3),
        taps=batched([example.taps for example in examples]),
        segmentation=_stack([target.classes for target in targets]),
        valid=_stack([target.valid[None] for target in targets]),
        center=_stack([target.center[None] for target in targets]),
        offset=_stack([target.offset for target in targets]),
        depth=depth_batch([example.depth for example in examples]),
        sensor_map=stacked_maps([example.sensor_map for example in examples]),
    )


def stacked_maps(maps: Sequence[Tensor | None]) -> Tensor | None:
    """(B, channels, Y, X) of maps (1, channels, Y, X); None where there are none."""
    known = [each for each in maps if each is not None]
    return torch.cat(known) if known else None


def moved(tensor: Tensor | None, device: torch.device | str, non_blocking: bool) -> Tensor | None:
    """A tensor on another device, if there is one."""
    return None if tensor is None else tensor.to(device, non_blocking=non_blocking)


def _stack(arrays: Sequence[NDArray[np.generic]]) -> Tensor:
    return torch.from_numpy(np.stack(arrays).astype(np.float32, copy=False))
