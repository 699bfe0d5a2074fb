# SPDX-License-Identifier: Apache-2.0
"""Builds the lift's table from a rig: projection, visibility and bilinear weights.

A voxel centre is projected into every camera (lens distortion included). A camera *sees* it
when it lies in front and its pixel lies inside the image, half a pixel of border included.
Each seeing camera contributes four bilinear taps into its feature map; their weights are
divided by the number of cameras that see the voxel, so that applying the table gives the
mean over them. Visibility is geometry alone: feature values and learning cannot change it.

Feature cell j of stride s is centred on image pixel (j + 0.5) * s - 0.5, which is bilinear
sampling with ``align_corners=False``. Between the image's edge and the centre of the
outermost feature cell that cell's value continues (border replication). The sampling "simple_bev"
of imported checkpoints differs, see sampling.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import Rig
from bev_perception.model.config import SegnetConfig
from bev_perception.model.sampling import neighbours, sampling_camera
from bev_perception.model.taps import GatherTable, TapTable
from bev_perception.model.visible_voxels import visible_voxels

CHUNK = 16384
"""Taps made at a time, so that what is in between stays in the processor's cache."""


def build_tap_table(
    rig: Rig,
    config: SegnetConfig,
    present: Sequence[bool] | None = None,
    backward: bool = False,
) -> TapTable:
    """The lift's table of one rig.

    Args:
        rig: intrinsics of the prepared images, extrinsics to levelled base_link.
        config: image size, grid and heights.
        present: per camera in rig order, whether its image came; default all. Voxels are the
            mean over present cameras only.
        backward: also make the transposed table, which training needs. Without it
            it is made at the first differentiation, again for every table.

    Raises:
        ConfigurationError: a camera's image size is not the model's, or present has another
            length than the rig.
    """
    flags = _checked_present(rig, config, present)
    views = {
        position: visible_voxels(sampling_camera(rig[name], config), config.grid, config.heights_m)
        for position, name in enumerate(rig.names)
        if flags[position]
    }
    num_y, num_x = config.grid.shape
    num_z = len(config.heights_m)
    sightings = _ordered(views, num_y * num_x * num_z)
    columns = sightings.count.reshape(num_y, num_x, num_z)
    result = TapTable(
        _gather_table(sightings, config),
        None,
        1,
        len(rig),
        config.feature_shape,
        (num_y, num_x, num_z),
        np.logical_or.reduce([columns[..., z] > 0 for z in range(num_z)]),
    )
    return result.with_backward() if backward else result


def _checked_present(
    rig: Rig, config: SegnetConfig, present: Sequence[bool] | None
) -> tuple[bool, ...]:
    flags = (True,) * len(rig) if present is None else tuple(bool(flag) for flag in present)
    if len(flags) != len(rig):
        raise ConfigurationError(f"present has {len(flags)} entries, the rig {len(rig)} cameras")
    for name, entry in rig.cameras.items():
        size = (entry.camera.height, entry.camera.width)
        if size != config.image_size:
            raise ConfigurationError(
                f"camera {name} has images of {size[0]}x{size[1]} (height x width), the model "
                f"takes {config.image_size[0]}x{config.image_size[1]}; prepare the rig first"
            )
    return flags


@dataclass(frozen=True)
class _Sightings:
    """Where each voxel is seen, in the order of voxels, then cameras.

    Attributes:
        cameras: (n,) int32 positions in the rig.
        u, v: (n,) pixels.
        count: (voxels,) int32 of cameras that see it; they sum to n.
        end: (voxels,) int32, one past its last entry.
    """

    cameras: NDArray[np.int32]
    u: NDArray[np.float64]
    v: NDArray[np.float64]
    count: NDArray[np.int32]
    end: NDArray[np.int32]


def _ordered(
    views: Mapping[int, tuple[NDArray[np.intp], NDArray[np.float64]]], num_voxels: int
) -> _Sightings:
    """Interleaves the voxels (m,) and pixels (m, 2) of each camera's position by voxel."""
    count = np.zeros(num_voxels, dtype=np.int32)
    for voxels, _ in views.values():
        count[voxels] += 1
    slot = np.cumsum(count, dtype=np.int32) - count
    total = int(slot[-1] + count[-1])
    cameras = np.empty(total, dtype=np.int32)
    u, v = np.empty(total), np.empty(total)
    for position, (voxels, pixels) in views.items():
        slots = slot[voxels]
        cameras[slots] = position
        u[slots], v[slots] = pixels.T
        slot[voxels] = slots + 1
    return _Sightings(cameras, u, v, count, slot)


def _gather_table(sightings: _Sightings, config: SegnetConfig) -> GatherTable:
    """Four bilinear taps per sighting, divided by the number of cameras that see the voxel."""
    count = sightings.count
    share = np.repeat(1.0 / np.maximum(count, 1).astype(np.float32), count)
    cells = np.empty((len(share), 4), dtype=np.int32)
    weights = np.empty((len(share), 4), dtype=np.float32)
    rows, columns = config.feature_shape
    right, below = int(columns > 1), columns * int(rows > 1)
    for start in range(0, len(share), CHUNK):
        part = slice(start, start + CHUNK)
        left, left_share, right_share = neighbours(sightings.u[part], columns, config)
        top, top_share, bottom_share = neighbours(sightings.v[part], rows, config)
        first = (sightings.cameras[part] * rows + top) * columns + left
        for tap, step in enumerate((0, right, below, below + right)):
            np.add(first, step, out=cells[part, tap])
        for tap, row_share in ((0, top_share), (2, bottom_share)):
            row_share *= share[part]
            np.multiply(row_share, left_share, out=weights[part, tap])
            np.multiply(row_share, right_share, out=weights[part, tap + 1])
    offsets = np.zeros(len(count) + 1, dtype=np.int32)
    np.multiply(sightings.end, 4, out=offsets[1:])
    return GatherTable(
        torch.from_numpy(cells.reshape(-1)),
        torch.from_numpy(offsets),
        torch.from_numpy(weights.reshape(-1)),
    )
