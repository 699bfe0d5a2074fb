# SPDX-License-Identifier: Apache-2.0
"""Where the points of the cameras' frustums lie on the BEV grid: the geometry of the lift "depth".

Every feature cell has a ray through its centre, lens included, and on the ray one point in the
middle of every depth bin. Depth is measured along the optical axis. A point belongs to the cell of
the grid that it lies in, edges half-open; points outside the grid or the heights are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import Rig, RigCamera
from bev_perception.model.config import SegnetConfig
from bev_perception.model.tap_builder import checked_present
from bev_perception.model.tensor_table import TensorTable
from bev_perception.model.visible_voxels import visible_voxels


@dataclass(frozen=True)
class FrustumTable(TensorTable):
    """The lift "depth" of one rig, or of a batch of rigs.

    Points are numbered (B, camera, row, column, bin), feature cells (B, camera, row, column), BEV
    cells (B, Y, X). Points that count are listed twice, by BEV cell and by feature cell.

    Attributes:
        points: (n,) int32, ordered by BEV cell.
        offsets: (B * Y * X + 1,) int32; a BEV cell owns points[offsets[i]:offsets[i + 1]].
        points_by_cell: (n,) int32, ordered by feature cell.
        bev_by_cell: (n,) int32 BEV cell of each of those.
        cell_offsets: (feature cells + 1,) int32 into those.
        num_bins: depth bins.
        batch_size, num_cameras, feature_shape, voxel_shape, seen, rig_id: see LiftGeometry.
    """

    points: Tensor
    offsets: Tensor
    points_by_cell: Tensor
    bev_by_cell: Tensor
    cell_offsets: Tensor
    num_bins: int
    batch_size: int
    num_cameras: int
    feature_shape: tuple[int, int]
    voxel_shape: tuple[int, int, int]
    seen: NDArray[np.bool_]
    rig_id: str = ""

    @staticmethod
    def batch(tables: Sequence[FrustumTable]) -> FrustumTable:
        """One table for a batch of single rigs.

        Raises:
            ConfigurationError: the tables differ in cameras, features, bins or voxels.
        """
        first = tables[0]
        layouts = {
            (one.num_cameras, one.feature_shape, one.num_bins, one.voxel_shape) for one in tables
        }
        if len(layouts) > 1:
            raise ConfigurationError(
                f"frustum tables of one batch must agree in (cameras, feature shape, depth bins, "
                f"voxel shape): {sorted(layouts)}"
            )
        cells = first.num_cameras * first.feature_shape[0] * first.feature_shape[1]
        bev_cells = first.voxel_shape[0] * first.voxel_shape[1]
        point_steps = [index * cells * first.num_bins for index in range(len(tables))]
        return replace(
            first,
            points=_shifted([one.points for one in tables], point_steps),
            offsets=_chained([one.offsets for one in tables]),
            points_by_cell=_shifted([one.points_by_cell for one in tables], point_steps),
            bev_by_cell=_shifted(
                [one.bev_by_cell for one in tables], [n * bev_cells for n in range(len(tables))]
            ),
            cell_offsets=_chained([one.cell_offsets for one in tables]),
            batch_size=len(tables),
            rig_id="",
            seen=np.stack([one.seen for one in tables]),
        )


def build_frustum_table(
    rig: Rig, config: SegnetConfig, present: Sequence[bool] | None = None
) -> FrustumTable:
    """The table of one rig; see build_tap_table for arguments and errors."""
    flags = checked_present(rig, config, present)
    bins = config.lift_settings.depth_bins
    rows, columns = config.feature_shape
    per_camera = rows * columns * bins
    num_y, num_x = config.grid.shape
    seen = np.zeros(num_y * num_x, dtype=bool)
    points, cells = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for position, name in enumerate(rig.names):
        if not flags[position]:
            continue
        bev = _bev_cells(rig[name], config)
        inside = np.flatnonzero(bev >= 0)
        points.append(inside + position * per_camera)
        cells.append(bev[inside])
        voxels, _ = visible_voxels(rig[name], config.grid, config.heights_m)
        seen[voxels // len(config.heights_m)] = True
    by_cell, bev_by_cell = np.concatenate(points), np.concatenate(cells)
    order = np.argsort(bev_by_cell, kind="stable")
    counts = np.bincount(by_cell // bins, minlength=len(rig) * rows * columns)
    return FrustumTable(
        points=_int32(by_cell[order]),
        offsets=_offsets(np.bincount(bev_by_cell, minlength=num_y * num_x)),
        points_by_cell=_int32(by_cell),
        bev_by_cell=_int32(bev_by_cell),
        cell_offsets=_offsets(counts),
        num_bins=bins,
        batch_size=1,
        num_cameras=len(rig),
        feature_shape=config.feature_shape,
        voxel_shape=(num_y, num_x, len(config.heights_m)),
        seen=seen.reshape(num_y, num_x),
    )


def _bev_cells(camera: RigCamera, config: SegnetConfig) -> NDArray[np.int64]:
    """BEV cell of every point (rows * columns * bins,) of a camera; -1 where there is none."""
    settings, grid = config.lift_settings, config.grid
    depths = settings.depth_m[0] + (np.arange(settings.depth_bins) + 0.5) * settings.depth_step_m
    points = feature_rays(camera, config)[..., None, :] * depths[:, None]
    base = camera.base_T_camera.apply(points.reshape(-1, 3))
    lowest, highest = settings.splat_heights_m
    with np.errstate(invalid="ignore"):
        inside = grid.contains(base[:, :2]) & (base[:, 2] >= lowest) & (base[:, 2] < highest)
    if camera.camera.window is not None:
        shown = camera.camera.window.shows(feature_rays(camera, config))
        inside &= np.repeat(shown.ravel(), settings.depth_bins)
    row, column = np.floor(grid.to_cells(base[inside, :2]) + 0.5).astype(np.int64).T
    cells = np.full(len(base), -1, dtype=np.int64)
    # Rounding may put what lies just below the far edges beyond them.
    last_row, last_column = grid.num_y - 1, grid.num_x - 1
    cells[inside] = np.minimum(row, last_row) * grid.num_x + np.minimum(column, last_column)
    return cells


def feature_rays(camera: RigCamera, config: SegnetConfig) -> NDArray[np.float64]:
    """(rows, columns, 3) of z = 1 in the optical frame through the centres of feature cells; NaN
    in x and y where the lens lets nothing land."""
    rows, columns = config.feature_shape
    stride = config.feature_stride
    u, v = np.meshgrid(np.arange(columns), np.arange(rows))
    return camera.camera.unproject((np.stack([u, v], axis=-1) + 0.5) * stride - 0.5)


def _int32(values: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(values.astype(np.int32))


def _offsets(counts: NDArray[np.int64]) -> Tensor:
    offsets = np.zeros(len(counts) + 1, dtype=np.int32)
    np.cumsum(counts, out=offsets[1:])
    return torch.from_numpy(offsets)


def _shifted(tensors: Sequence[Tensor], steps: Sequence[int]) -> Tensor:
    return torch.cat([tensor + step for tensor, step in zip(tensors, steps)])


def _chained(offsets: Sequence[Tensor]) -> Tensor:
    """Offsets of lists that follow each other."""
    parts, total = [offsets[0][:1]], 0
    for part in offsets:
        parts.append(part[1:] + total)
        total += int(part[-1])
    return torch.cat(parts)
