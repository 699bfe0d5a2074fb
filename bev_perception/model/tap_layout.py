# SPDX-License-Identifier: Apache-2.0
"""Tap tables in the shape that graphs take, for the lifts that are gathers alone.

A *sighting* is a voxel seen by a camera: four feature cells with weights.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from bev_perception.model.camera_planes import seen_by
from bev_perception.model.config import SegnetConfig
from bev_perception.model.graph_layout import GraphLayout, require_room
from bev_perception.model.lift_geometry import LiftGeometry
from bev_perception.model.taps import TapTable

TAPS = 4
"""Feature cells of a sighting."""

DEFAULT_VIEWS = 2
DEFAULT_SHARE = 1.25
_SHARE_STEP = 0.25
_MARGIN = 1.02


@dataclass(frozen=True)
class TapLayout(GraphLayout):
    """The fixed sizes of a graph's inputs.

    Attributes:
        num_cameras: images.
        views: cameras that may see one voxel.
        sightings: in all, the empty one at position 0 included.
        raw_size: see GraphLayout.
    """

    TABLES: ClassVar[tuple[str, ...]] = ("cells", "weights", "slots")

    num_cameras: int
    views: int
    sightings: int
    raw_size: tuple[int, int] | None = None

    @classmethod
    def usual(cls, num_cameras: int, num_voxels: int) -> TapLayout:
        """Room for cameras that look around a vehicle and overlap a little."""
        views = min(DEFAULT_VIEWS, num_cameras)
        share = DEFAULT_SHARE if num_cameras > 1 else 1.0
        return cls(num_cameras, views, math.ceil(share * num_voxels) + 1)

    def sizes(self) -> tuple[int, ...]:
        """See GraphLayout."""
        return self.num_cameras, self.views, self.sightings

    def room(self) -> str:
        """See GraphLayout."""
        return f"{self.views} cameras per voxel and {self.sightings} sightings"

    def grown_for(self, geometry: LiftGeometry) -> TapLayout:
        """See GraphLayout."""
        views, sightings = needed(geometry)
        num_voxels = math.prod(geometry.voxel_shape)
        room = self.sightings
        if sightings > room:
            steps = math.ceil(_MARGIN * sightings / (_SHARE_STEP * num_voxels))
            room = math.ceil(steps * _SHARE_STEP * num_voxels) + 1
        return replace(
            self,
            num_cameras=geometry.num_cameras,
            views=max(self.views, views),
            sightings=room,
        )

    def has_room_for(self, geometry: LiftGeometry) -> bool:
        """See GraphLayout."""
        views, sightings = needed(geometry)
        return (
            geometry.num_cameras == self.num_cameras
            and views <= self.views
            and sightings <= self.sightings
        )

    def tables(self, geometry: LiftGeometry) -> dict[str, NDArray[Any]]:
        """See GraphLayout."""
        return asdict(padded(geometry, self))

    def example(self, config: SegnetConfig) -> dict[str, NDArray[Any]]:
        """See GraphLayout."""
        voxels = math.prod(config.grid.shape) * len(config.heights_m)
        return asdict(_empty(self, voxels))


@dataclass(frozen=True)
class PlanesLayout(TapLayout):
    """Sizes for the lift "ground_late": every camera's ground is voxels of its own."""

    TABLES: ClassVar[tuple[str, ...]] = (*TapLayout.TABLES, "seen")

    @classmethod
    def usual(cls, num_cameras: int, num_voxels: int) -> PlanesLayout:
        """As TapLayout.usual; num_voxels are those of one plane."""
        return cls(num_cameras, 1, TapLayout.usual(num_cameras, num_voxels).sightings)

    def tables(self, geometry: LiftGeometry) -> dict[str, NDArray[Any]]:
        """See GraphLayout; seen is (S, 1, Y, X) of 0 and 1."""
        assert isinstance(geometry, TapTable)
        seen = seen_by(geometry)[0].unsqueeze(1).float().numpy()
        return {**super().tables(geometry), "seen": seen}

    def example(self, config: SegnetConfig) -> dict[str, NDArray[Any]]:
        """See GraphLayout."""
        count, shape = self.num_cameras, config.grid.shape
        planes = asdict(_empty(self, count * math.prod(shape)))
        return {**planes, "seen": np.zeros((count, 1, *shape), dtype=np.float32)}


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


def needed(taps: LiftGeometry) -> tuple[int, int]:
    """The largest number of cameras that see one voxel, and all sightings plus the empty one."""
    assert isinstance(taps, TapTable)
    most = int(torch.diff(taps.forward.offsets).max()) // TAPS
    return max(most, 1), len(taps.forward.indices) // TAPS + 1


def padded(taps: LiftGeometry, layout: TapLayout) -> PaddedTaps:
    """A table of one rig on the CPU in the shape of a layout.

    Raises:
        ConfigurationError: the layout has too little room, see TapLayout.grown_for.
    """
    require_room(layout, taps)
    assert isinstance(taps, TapTable)
    offsets = taps.forward.offsets.numpy() // TAPS
    count = offsets[-1]
    first, seen = offsets[:-1], np.diff(offsets)
    table = _empty(layout, len(first))
    table.cells[:, 1 : count + 1] = taps.forward.indices.numpy().reshape(-1, TAPS).T
    table.weights[:, 1 : count + 1] = taps.forward.weights.numpy().reshape(-1, TAPS).T
    for view in range(layout.views):
        np.copyto(table.slots[view], first + (view + 1), where=seen > view)
    return table


def _empty(layout: TapLayout, num_voxels: int) -> PaddedTaps:
    return PaddedTaps(
        np.zeros((TAPS, layout.sightings), dtype=np.int32),
        np.zeros((TAPS, layout.sightings), dtype=np.float32),
        np.zeros((layout.views, num_voxels), dtype=np.int32),
    )
