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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import BevGrid, Rig, RigCamera
from bev_perception.model.config import SegnetConfig
from bev_perception.model.sampling import neighbours, sampling_camera
from bev_perception.model.taps import GatherTable, TapTable
from bev_perception.model.visible_voxels import visible_voxels

STRIP_VOXELS = 1 << 16
"""Voxels looked at together in a large grid, so that what is in between stays in the processor's
cache and is no new memory each time."""

UNDIVIDED_VOXELS = 1 << 17
"""Grids of up to so many are looked at as a whole; strips have a cost of their own."""

CHUNK = 16384
"""Taps made at a time, for the same reason."""


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
    flags = checked_present(rig, config, present)
    cameras = {
        position: sampling_camera(rig[name], config)
        for position, name in enumerate(rig.names)
        if flags[position]
    }
    num_y, num_x = config.grid.shape
    num_z = len(config.heights_m)
    count = np.empty((num_y, num_x, num_z), dtype=np.int32)
    most = max(1, count.size * len(cameras))
    cells = np.empty((most, 4), dtype=np.int32)
    weights = np.empty((most, 4), dtype=np.float32)
    total = 0
    for rows, strip in _strips(config):
        sightings = find_sightings(cameras, strip, config.heights_m)
        count[rows] = sightings.count.reshape(-1, num_x, num_z)
        part = slice(total, total + len(sightings.u))
        _write_taps(sightings, config, cells[part], weights[part])
        total = part.stop
    for taps in (cells, weights):  # what is not used would be kept with the table
        taps.resize((total, 4), refcheck=False)
    offsets = np.zeros(count.size + 1, dtype=np.int32)
    np.cumsum(count.reshape(-1), out=offsets[1:])
    offsets *= 4
    result = TapTable(
        GatherTable(
            torch.from_numpy(cells.reshape(-1)),
            torch.from_numpy(offsets),
            torch.from_numpy(weights.reshape(-1)),
        ),
        None,
        1,
        len(rig),
        config.feature_shape,
        (num_y, num_x, num_z),
        np.logical_or.reduce([count[..., z] > 0 for z in range(num_z)]),
    )
    return result.with_backward() if backward else result


def checked_present(
    rig: Rig, config: SegnetConfig, present: Sequence[bool] | None
) -> tuple[bool, ...]:
    """Per camera whether its image came; see build_tap_table."""
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


def _strips(config: SegnetConfig) -> Iterator[tuple[slice, BevGrid]]:
    """Strips of the grid: which rows, and the grid of them."""
    grid = config.grid
    row_voxels = grid.num_x * len(config.heights_m)
    whole = grid.num_y * row_voxels <= UNDIVIDED_VOXELS
    rows = grid.num_y if whole else max(1, STRIP_VOXELS // row_voxels)
    for first in range(0, grid.num_y, rows):
        last = min(first + rows, grid.num_y)
        y_min = grid.y_min + first * grid.resolution
        yield slice(first, last), replace(grid, y_min=y_min, num_y=last - first)


@dataclass(frozen=True)
class Sightings:
    """Where each voxel is seen, in the order of voxels, then cameras.

    Attributes:
        cameras: (n,) int32 positions in the rig.
        u, v: (n,) pixels.
        count: (voxels,) int32 of cameras that see it; they sum to n.
    """

    cameras: NDArray[np.int32]
    u: NDArray[np.float64]
    v: NDArray[np.float64]
    count: NDArray[np.int32]


def find_sightings(
    cameras: Mapping[int, RigCamera], grid: BevGrid, heights_m: Sequence[float]
) -> Sightings:
    """Interleaves by voxel what the cameras of some positions in the rig see."""
    views = {
        position: visible_voxels(camera, grid, heights_m) for position, camera in cameras.items()
    }
    count = np.zeros(grid.num_y * grid.num_x * len(heights_m), dtype=np.int32)
    for voxels, _ in views.values():
        count[voxels] += 1
    slot = np.cumsum(count, dtype=np.int32)
    total = int(slot[-1])
    slot -= count
    seen_by = np.empty(total, dtype=np.int32)
    u, v = np.empty(total), np.empty(total)
    for position, (voxels, pixels) in views.items():
        slots = slot[voxels]
        seen_by[slots] = position
        u[slots], v[slots] = pixels.T
        slot[voxels] = slots + 1
    return Sightings(seen_by, u, v, count)


def _write_taps(
    sightings: Sightings,
    config: SegnetConfig,
    cells: NDArray[np.int32],
    weights: NDArray[np.float32],
) -> None:
    """Four bilinear taps (n, 4) per sighting, divided by the cameras that see the voxel."""
    count = sightings.count
    share = np.repeat(1.0 / np.maximum(count, 1).astype(np.float32), count)
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
