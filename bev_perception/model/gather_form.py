# SPDX-License-Identifier: Apache-2.0
"""Segnet as a graph of common operators whose lift is gathers, for export to other libraries.

A *sighting* is a voxel seen by a camera: four feature cells with weights. The graph gathers the
cells of every sighting, weighs and sums them, and then gathers for every voxel its sightings
and sums those. Cells, weights and sightings are inputs, so another calibration needs no other
graph as long as it fits into the layout.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bev_perception.errors import ConfigurationError
from bev_perception.model.image_resize import ImageResize
from bev_perception.model.inference_form import InferenceSegnet
from bev_perception.model.lift_config import GATHER_LIFTS
from bev_perception.model.norm import EPSILON, InstanceNorm
from bev_perception.model.segnet import Segnet
from bev_perception.model.taps import TapTable

TAPS = 4
"""Feature cells of a sighting."""

DEFAULT_VIEWS = 2
DEFAULT_SHARE = 1.25
_SHARE_STEP = 0.25
_MARGIN = 1.02

INPUT_NAMES = ("images", "cells", "weights", "slots")
RESIZE_NAMES = ("rows", "columns")
"""Further inputs of graphs that take raw images."""

OUTPUT_NAME = "maps"


@dataclass(frozen=True)
class TapLayout:
    """The fixed sizes of a graph's inputs.

    Attributes:
        num_cameras: images.
        views: cameras that may see one voxel.
        sightings: in all, the empty one at position 0 included.
        raw_size: (height, width) of images that the graph resizes; None where they come prepared.
    """

    num_cameras: int
    views: int
    sightings: int
    raw_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.raw_size is not None:
            height, width = self.raw_size
            object.__setattr__(self, "raw_size", (int(height), int(width)))

    @property
    def input_names(self) -> tuple[str, ...]:
        """Of the graph."""
        return INPUT_NAMES if self.raw_size is None else INPUT_NAMES + RESIZE_NAMES

    @classmethod
    def usual(cls, num_cameras: int, num_voxels: int) -> TapLayout:
        """Room for cameras that look around a vehicle and overlap a little."""
        views = min(DEFAULT_VIEWS, num_cameras)
        share = DEFAULT_SHARE if num_cameras > 1 else 1.0
        return cls(num_cameras, views, math.ceil(share * num_voxels) + 1)

    def grown_for(self, taps: TapTable) -> TapLayout:
        """This layout, or one with room for the table where this one has too little."""
        views, sightings = needed(taps)
        num_voxels = math.prod(taps.voxel_shape)
        room = self.sightings
        if sightings > room:
            steps = math.ceil(_MARGIN * sightings / (_SHARE_STEP * num_voxels))
            room = math.ceil(steps * _SHARE_STEP * num_voxels) + 1
        return TapLayout(taps.num_cameras, max(self.views, views), room, self.raw_size)

    def has_room_for(self, taps: TapTable) -> bool:
        """Whether the table fits."""
        views, sightings = needed(taps)
        return (
            taps.num_cameras == self.num_cameras
            and views <= self.views
            and sightings <= self.sightings
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values that the constructor takes."""
        values = asdict(self)
        if self.raw_size is None:
            del values["raw_size"]
        return values


@dataclass(frozen=True)
class PaddedTaps:
    """A tap table in the shape of a layout.

    Attributes:
        cells: (4, sightings) int32, rows of features.
        weights: (4, sightings) float32; zero in the first sighting and in unused ones.
        slots: (views, voxels) int32, sightings of each voxel; 0 where it has fewer.
    """

    cells: NDArray[np.int32]
    weights: NDArray[np.float32]
    slots: NDArray[np.int32]


def needed(taps: TapTable) -> tuple[int, int]:
    """The largest number of cameras that see one voxel, and all sightings plus the empty one."""
    most = int(torch.diff(taps.forward.offsets).max()) // TAPS
    return max(most, 1), len(taps.forward.indices) // TAPS + 1


def padded(taps: TapTable, layout: TapLayout) -> PaddedTaps:
    """A table of one rig on the CPU in the shape of a layout.

    Raises:
        ConfigurationError: the layout has too little room, see TapLayout.grown_for.
    """
    if taps.batch_size != 1 or not layout.has_room_for(taps):
        raise ConfigurationError(
            f"a tap table of {taps.batch_size} rigs, {taps.num_cameras} cameras and (views, "
            f"sightings) {needed(taps)} does not fit into {layout}"
        )
    offsets = taps.forward.offsets.numpy() // TAPS
    count = offsets[-1]
    cells = np.zeros((TAPS, layout.sightings), dtype=np.int32)
    weights = np.zeros((TAPS, layout.sightings), dtype=np.float32)
    cells[:, 1 : count + 1] = taps.forward.indices.numpy().reshape(-1, TAPS).T
    weights[:, 1 : count + 1] = taps.forward.weights.numpy().reshape(-1, TAPS).T
    first, seen = offsets[:-1], np.diff(offsets)
    slots = np.zeros((layout.views, len(first)), dtype=np.int32)
    for view in range(layout.views):
        np.copyto(slots[view], first + (view + 1), where=seen > view)
    return PaddedTaps(cells, weights, slots)


class GatherSegnet(nn.Module):
    """The graph to export.

    Args:
        model: left as it is.
    """

    def __init__(self, model: Segnet) -> None:
        super().__init__()
        if model.config.memory.is_on:
            raise ConfigurationError(
                f"this network has a memory of kind {model.config.memory.kind}, and exported "
                f"graphs answer every set for itself; run its weights file with backend cpu or cuda"
            )
        if model.config.lift not in GATHER_LIFTS:
            raise ConfigurationError(
                f"this network has lift {model.config.lift}, and graphs for other libraries hold "
                f"{' and '.join(GATHER_LIFTS)} alone; run its weights file with backend cpu or cuda"
            )
        if model.config.sensor != "none":
            raise ConfigurationError(
                f"this network takes {model.config.sensor} beside images, and exported graphs take "
                f"images alone; run its weights file with backend cpu or cuda"
            )
        self.network = InferenceSegnet(model)
        _make_exportable(self.network)

    def forward(
        self,
        images: Tensor,
        cells: Tensor,
        weights: Tensor,
        slots: Tensor,
        rows: Tensor | None = None,
        columns: Tensor | None = None,
    ) -> Tensor:
        """Images (S, H, W, 3) uint8 and PaddedTaps to float32 maps (K + 3, Y, X); see decode.

        Rows and columns are those of an ImageResize where images are raw.
        """
        resize = None if rows is None or columns is None else ImageResize(rows, columns)
        features = self.network.encode(images, resize)
        shares = weights.to(features.dtype)
        # index_select becomes Gather; features[index] would become GatherND.
        sighted = features.index_select(0, cells[0]) * shares[0, :, None]
        for tap in range(1, TAPS):
            sighted = sighted + features.index_select(0, cells[tap]) * shares[tap, :, None]
        voxels = sighted.index_select(0, slots[0])
        for view in range(1, len(slots)):
            voxels = voxels + sighted.index_select(0, slots[view])
        return self.network.decode(self.network.compress(voxels)).float()

    def example(self, layout: TapLayout) -> tuple[Tensor, ...]:
        """Inputs of a layout's sizes, in the order of its names."""
        config, count = self.network.config, layout.num_cameras
        voxels = config.grid.num_x * config.grid.num_y * len(config.heights_m)
        size = layout.raw_size or config.image_size
        inputs = (
            torch.zeros(count, *size, 3, dtype=torch.uint8),
            torch.zeros(TAPS, layout.sightings, dtype=torch.int32),
            torch.zeros(TAPS, layout.sightings),
            torch.zeros(layout.views, voxels, dtype=torch.int32),
        )
        if layout.raw_size is None:
            return inputs
        matrices = (torch.zeros(count, *pair) for pair in zip(config.image_size, size))
        return (*inputs, *matrices)


class _InstanceNorm(nn.Module):
    """The operator that other libraries know; group norm would become several."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.instance_norm(x, eps=EPSILON)


def _make_exportable(network: nn.Module) -> None:
    for name, child in network.named_children():
        if isinstance(child, InstanceNorm):
            setattr(network, name, _InstanceNorm())
        else:
            _make_exportable(child)
