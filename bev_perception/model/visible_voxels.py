# SPDX-License-Identifier: Apache-2.0
"""Which voxels a camera sees, and at which pixels.

Projecting all voxels into all cameras wastes most of the work, so the voxels are culled first.
Along a line of the grid the voxels between the planes that bound a camera's view are one run
of columns, which five inequalities give. The runs are a little longer than the view; the
camera's own projection, lens included, decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import BevGrid, PinholeCamera, RigCamera

_MARGIN = 0.01
"""How much wider than the image the culling takes the view, as a share of its size."""


def visible_voxels(
    camera: RigCamera, grid: BevGrid, heights_m: Sequence[float]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Voxels whose centres lie in front of a camera and inside its image.

    Args:
        camera: extrinsics to the grid's frame.
        grid: extent and resolution.
        heights_m: z of the voxel centres.

    Returns:
        voxels (n,): indices in the order (Y, X, Z), each once; pixels (n, 2), u and v each
        contiguous.
    """
    voxels, points = _candidates(camera, grid, np.asarray(heights_m, dtype=np.float64))
    optical = camera.base_T_camera.inverse().apply_columns(points)
    pixels, valid = camera.camera.project(optical.T)
    seen = np.flatnonzero(valid & camera.camera.contains(pixels))
    u, v = pixels.T
    return voxels.take(seen), np.stack([u.take(seen), v.take(seen)]).T


def _candidates(
    camera: RigCamera, grid: BevGrid, heights_m: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Indices (n,) and centres (3, n) of the voxels between the planes that bound the view."""
    first, count = _runs(camera, grid, heights_m)
    num_z = len(heights_m)
    lines = np.arange(len(count))
    line_y, line_z = lines // num_z, lines % num_z
    columns = np.arange(count.sum())
    columns += np.repeat(first - (np.cumsum(count) - count), count)
    voxels = columns * num_z
    voxels += np.repeat(line_y * grid.num_x * num_z + line_z, count)
    points = np.empty((3, len(columns)))
    grid.x_centers.take(columns, out=points[0])
    points[1] = np.repeat(grid.y_centers[line_y], count)
    points[2] = np.repeat(heights_m[line_z], count)
    return voxels, points


def _runs(
    camera: RigCamera, grid: BevGrid, heights_m: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First column and number of columns (Y * Z,) of each line along x, heights fastest.

    A plane's inequality ``normal . p + offset >= 0`` is one in x alone on such a line.
    """
    optical_T_base = camera.base_T_camera.inverse()
    planes = _bounding_planes(camera.camera)
    normals = planes @ optical_T_base.rotation
    offsets = planes @ optical_T_base.translation + 1e-6
    rest = (
        normals[:, 1, None, None] * grid.y_centers[:, None]
        + normals[:, 2, None, None] * heights_m
        + offsets[:, None, None]
    ).reshape(len(planes), -1)
    slopes = normals[:, :1]
    steep = np.where(slopes == 0.0, 1e-300, slopes)
    with np.errstate(over="ignore"):
        crossings = ((-rest / steep) - grid.x_min) / grid.resolution - 0.5
    low = np.where(steep > 0.0, crossings, -np.inf).max(axis=0)
    high = np.where(steep < 0.0, crossings, np.inf).min(axis=0)
    first = np.clip(np.ceil(low), 0, grid.num_x).astype(np.intp)
    last = np.clip(np.floor(high), -1, grid.num_x - 1).astype(np.intp)
    return first, np.maximum(last + 1 - first, 0)


@lru_cache(maxsize=64)
def _bounding_planes(camera: PinholeCamera) -> NDArray[np.float64]:
    """Normals (1 or 5, 3), in the optical frame, of planes through the camera around its view.

    The lens maps the view one-to-one, so the outermost directions are those of the image's
    border. Where the lens model does not reach the border, only what lies behind is culled.
    """
    front = [0.0, 0.0, 1.0]
    columns = np.linspace(-0.5, camera.width - 0.5, camera.width + 1)
    rows = np.linspace(-0.5, camera.height - 0.5, camera.height + 1)
    left, right = columns[0], columns[-1]
    top, bottom = rows[0], rows[-1]
    border = np.concatenate(
        [
            *(np.stack([columns, np.full_like(columns, row)], axis=1) for row in (top, bottom)),
            *(np.stack([np.full_like(rows, column), rows], axis=1) for column in (left, right)),
        ]
    )
    rays = camera.unproject(border)[:, :2]
    if not np.isfinite(rays).all():
        return np.array([front])
    low, high = rays.min(axis=0), rays.max(axis=0)
    margin = _MARGIN * (high - low)
    (x_low, y_low), (x_high, y_high) = low - margin, high + margin
    return np.array(
        [front, [1.0, 0.0, -x_low], [-1.0, 0.0, x_high], [0.0, 1.0, -y_low], [0.0, -1.0, y_high]]
    )
