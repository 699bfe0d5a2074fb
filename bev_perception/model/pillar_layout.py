# SPDX-License-Identifier: Apache-2.0
"""Sighting tables in the shape that graphs take, for the lift "attention".

Every BEV cell has the same number of slots for its sightings, over heights and cameras; those that
it does not use count nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bev_perception.model.config import SegnetConfig
from bev_perception.model.graph_layout import GraphLayout, require_room
from bev_perception.model.lift_geometry import LiftGeometry
from bev_perception.model.sighting_table import SightingTable


@dataclass(frozen=True)
class PillarLayout(GraphLayout):
    """The fixed sizes of a graph's inputs.

    Attributes:
        num_cameras: images.
        slots: sightings of one cell.
        raw_size: see GraphLayout.
    """

    TABLES: ClassVar[tuple[str, ...]] = ("positions", "cameras", "voxels", "valid")

    num_cameras: int
    slots: int = 1
    raw_size: tuple[int, int] | None = None

    def sizes(self) -> tuple[int, ...]:
        """See GraphLayout."""
        return self.num_cameras, self.slots

    def room(self) -> str:
        """See GraphLayout."""
        return f"{self.slots} sightings of a cell"

    def has_room_for(self, geometry: LiftGeometry) -> bool:
        """See GraphLayout."""
        return geometry.num_cameras == self.num_cameras and _needed(geometry) <= self.slots

    def grown_for(self, geometry: LiftGeometry) -> PillarLayout:
        """See GraphLayout."""
        slots = max(self.slots, _needed(geometry))
        return replace(self, num_cameras=geometry.num_cameras, slots=slots)

    def tables(self, geometry: LiftGeometry) -> dict[str, NDArray[Any]]:
        """See GraphLayout.

        positions: (slots, Y * X, 2) float32 column and row on the feature map. cameras, voxels and
        valid: (slots, Y * X) float32 whose map, int32 which voxel, and float32 of 0 and 1.
        """
        require_room(self, geometry)
        assert isinstance(geometry, SightingTable)
        offsets = geometry.offsets.numpy()
        counts = np.diff(offsets)
        cells = np.repeat(np.arange(len(counts)), counts)
        place = np.arange(len(cells)) - np.repeat(offsets[:-1], counts), cells
        table = self._empty(len(counts))
        table["positions"][place] = geometry.positions.numpy()
        table["cameras"][place] = geometry.maps.numpy()
        table["voxels"][place] = geometry.voxels.numpy()
        table["valid"][place] = 1.0
        return table

    def example(self, config: SegnetConfig) -> dict[str, NDArray[Any]]:
        """See GraphLayout."""
        return self._empty(math.prod(config.grid.shape))

    def _empty(self, cells: int) -> dict[str, NDArray[Any]]:
        shape = (self.slots, cells)
        return {
            "positions": np.zeros((*shape, 2), dtype=np.float32),
            "cameras": np.zeros(shape, dtype=np.float32),
            "voxels": np.zeros(shape, dtype=np.int32),
            "valid": np.zeros(shape, dtype=np.float32),
        }


def _needed(geometry: LiftGeometry) -> int:
    """The most sightings of one cell."""
    assert isinstance(geometry, SightingTable)
    return max(1, int(np.diff(geometry.offsets.numpy()).max(initial=1)))
