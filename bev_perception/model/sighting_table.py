# SPDX-License-Identifier: Apache-2.0
"""Where the pillars over BEV cells are seen: the geometry of the lift "attention".

A pillar has one point at every height of the configuration. Each camera that sees the point
gives one *sighting*: a place on its feature map, to a fraction of a cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import Rig
from bev_perception.model.config import SegnetConfig
from bev_perception.model.tap_builder import checked_present, find_sightings
from bev_perception.model.tensor_table import TensorTable


@dataclass(frozen=True)
class SightingTable(TensorTable):
    """The lift "attention" of one rig, or of a batch of rigs.

    Sightings are ordered by BEV cell (B, Y, X), then height, then camera.

    Attributes:
        voxels: (n,) int64, (B, Y, X, Z).
        maps: (n,) int64, (B, camera).
        positions: (n, 2) float32, column and row on the feature map, cell centres at whole
            numbers, inside the map.
        offsets: (B * Y * X + 1,) int32; a BEV cell owns sightings offsets[i] to offsets[i + 1].
        batch_size, num_cameras, feature_shape, voxel_shape, seen, rig_id: see LiftGeometry.
    """

    voxels: Tensor
    maps: Tensor
    positions: Tensor
    offsets: Tensor
    batch_size: int
    num_cameras: int
    feature_shape: tuple[int, int]
    voxel_shape: tuple[int, int, int]
    seen: NDArray[np.bool_]
    rig_id: str = ""

    @staticmethod
    def batch(tables: Sequence[SightingTable]) -> SightingTable:
        """One table for a batch of single rigs.

        Raises:
            ConfigurationError: the tables differ in cameras, features or voxels.
        """
        first = tables[0]
        layouts = {(one.num_cameras, one.feature_shape, one.voxel_shape) for one in tables}
        if len(layouts) > 1:
            raise ConfigurationError(
                f"sighting tables of one batch must agree in (cameras, feature shape, voxel "
                f"shape): {sorted(layouts)}"
            )
        num_y, num_x, num_z = first.voxel_shape
        offsets, total = [first.offsets[:1]], 0
        for one in tables:
            offsets.append(one.offsets[1:] + total)
            total += len(one.voxels)
        return replace(
            first,
            voxels=torch.cat(
                [one.voxels + index * num_y * num_x * num_z for index, one in enumerate(tables)]
            ),
            maps=torch.cat(
                [one.maps + index * first.num_cameras for index, one in enumerate(tables)]
            ),
            positions=torch.cat([one.positions for one in tables]),
            offsets=torch.cat(offsets),
            batch_size=len(tables),
            rig_id="",
            seen=np.stack([one.seen for one in tables]),
        )


def build_sighting_table(
    rig: Rig, config: SegnetConfig, present: Sequence[bool] | None = None
) -> SightingTable:
    """The table of one rig; see build_tap_table for arguments and errors."""
    flags = checked_present(rig, config, present)
    cameras = {index: rig[name] for index, name in enumerate(rig.names) if flags[index]}
    sightings = find_sightings(cameras, config.grid, config.heights_m)
    num_y, num_x = config.grid.shape
    num_z = len(config.heights_m)
    rows, columns = config.feature_shape
    positions = np.empty((len(sightings.u), 2), dtype=np.float32)
    for axis, (pixels, size) in enumerate(((sightings.u, columns), (sightings.v, rows))):
        position = (pixels + 0.5) / config.feature_stride - 0.5
        positions[:, axis] = np.clip(position, 0.0, size - 1.0)
    per_cell = sightings.count.reshape(-1, num_z).sum(axis=1)
    offsets = np.zeros(num_y * num_x + 1, dtype=np.int32)
    np.cumsum(per_cell, out=offsets[1:])
    return SightingTable(
        voxels=torch.from_numpy(np.repeat(np.arange(sightings.count.size), sightings.count)),
        maps=torch.from_numpy(sightings.cameras.astype(np.int64)),
        positions=torch.from_numpy(positions),
        offsets=torch.from_numpy(offsets),
        batch_size=1,
        num_cameras=len(rig),
        feature_shape=config.feature_shape,
        voxel_shape=(num_y, num_x, num_z),
        seen=(per_cell > 0).reshape(num_y, num_x),
    )
