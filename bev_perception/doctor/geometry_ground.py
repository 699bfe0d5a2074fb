# SPDX-License-Identifier: Apache-2.0
"""Where patches of road of one image lie in the camera's next image.

Bare asphalt has no corners, but seen from above its faint pattern is the same in both images.
So both are laid on the ground as calibration and ego motion say, and tiles of the first are
searched for in the second around the place where they should lie. The matches are handed out
as pixels: whatever calibration they were found with, they say where the same ground appears.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.doctor.image_tracks import Tracks
from bev_perception.geometry import RigCamera, RigidTransform

MIN_MOTION_M = 0.15
"""Shorter ways between two images say nothing about distances."""

CELL_M = 0.04
_NEAR_M, _FAR_M, _HALF_WIDTH_M = 1.0, 9.0, 5.0
_TILE = 35
_SEARCH_M, _SEARCH_PER_M, _LARGEST_SEARCH_M = 0.15, 0.3, 0.6
_FINEST = 0.33
_PLAINEST = 1.0
_ALIKE = 0.7
_APART_CELLS = 4
_DROP = 0.1


class _Strip(NamedTuple):
    """An image laid on the ground.

    Attributes:
        values: (rows, columns) float32 brightness.
        seen: (rows, columns) whether the camera sees the cell, and sharply.
    """

    values: NDArray[np.float32]
    seen: NDArray[np.bool_]


def ground_tracks(
    first: NDArray[np.uint8],
    second: NDArray[np.uint8],
    entry: RigCamera,
    second_T_first: RigidTransform,
) -> Tracks:
    """Matches of ground tiles; none where the vehicle moved less than MIN_MOTION_M.

    Args:
        first, second: (H, W) grey images of one camera in the size of its calibration.
        entry: intrinsics and mounting, which may be wrong by some degrees and decimetres.
        second_T_first: takes points of base_link at the first to that at the second.
    """
    motion = float(np.linalg.norm(second_T_first.translation))
    if motion < MIN_MOTION_M:
        return Tracks(np.zeros((0, 2)), np.zeros((0, 2)))
    points = _ground_points(entry)
    before = _lay(first, entry, points)
    after = _lay(second, entry, second_T_first.apply(points))
    search = round(min(_LARGEST_SEARCH_M, _SEARCH_M + _SEARCH_PER_M * motion) / CELL_M)
    starts, ends = [], []
    rows, columns = before.values.shape
    for row in range(search, rows - _TILE - search, _TILE // 2):
        for column in range(search, columns - _TILE - search, _TILE // 2):
            shift = _shift(before, after, row, column, search)
            if shift is not None:
                middle = np.array([row, column]) + (_TILE - 1) / 2.0
                starts.append(middle)
                ends.append(middle + shift)
    camera_T_base = entry.base_T_camera.inverse()
    place = _place(points, np.array(starts).reshape(-1, 2))
    moved = second_T_first.apply(_place(points, np.array(ends).reshape(-1, 2)))
    pixels = [entry.camera.project(camera_T_base.apply(each))[0] for each in (place, moved)]
    usable = np.isfinite(pixels[0]).all(axis=1) & np.isfinite(pixels[1]).all(axis=1)
    return Tracks(pixels[0][usable], pixels[1][usable])


def _ground_points(entry: RigCamera) -> NDArray[np.float64]:
    """(rows, columns, 3) in base_link on the ground before the camera, rows going away."""
    away = entry.base_T_camera.rotation[:2, 2]
    away = away / max(float(np.linalg.norm(away)), 1e-9)
    left = np.array([-away[1], away[0]])
    rows, columns = np.meshgrid(
        np.arange(_NEAR_M, _FAR_M, CELL_M),
        np.arange(-_HALF_WIDTH_M, _HALF_WIDTH_M, CELL_M),
        indexing="ij",
    )
    flat = rows[..., None] * away + columns[..., None] * left + entry.base_T_camera.translation[:2]
    return np.concatenate([flat, np.zeros((*rows.shape, 1))], axis=-1)


def _lay(image: NDArray[np.uint8], entry: RigCamera, points_base: NDArray[np.float64]) -> _Strip:
    pixels, valid = entry.project(points_base)
    valid = valid & entry.camera.contains(pixels)
    pixels = np.where(valid[..., None], pixels, -1e4)
    laid = cv2.remap(
        image,
        pixels[..., 0].astype(np.float32),
        pixels[..., 1].astype(np.float32),
        cv2.INTER_LINEAR,
    )
    step = np.linalg.norm(np.gradient(pixels, axis=0), axis=-1)
    values = cv2.GaussianBlur(laid.astype(np.float32), (0, 0), 1.0)
    return _Strip(values.astype(np.float32), valid & (step >= _FINEST))


def _shift(
    before: _Strip, after: _Strip, row: int, column: int, search: int
) -> NDArray[np.float64] | None:
    """(2,) rows and columns by which a tile lies elsewhere; None where nothing is sure."""
    tile = slice(row, row + _TILE), slice(column, column + _TILE)
    around = (
        slice(row - search, row + _TILE + search),
        slice(column - search, column + _TILE + search),
    )
    if not (before.seen[tile].all() and after.seen[around].all()):
        return None
    if before.values[tile].std() < _PLAINEST:
        return None
    alike = cv2.matchTemplate(after.values[around], before.values[tile], cv2.TM_CCOEFF_NORMED)
    _, best, _, (x, y) = cv2.minMaxLoc(alike)
    if best < _ALIKE or not (0 < x < 2 * search and 0 < y < 2 * search):
        return None
    rows, columns = np.ogrid[: alike.shape[0], : alike.shape[1]]
    elsewhere = np.hypot(rows - y, columns - x) >= _APART_CELLS
    if float(alike[elsewhere].max()) > best - _DROP:
        return None
    fine = np.array([_summit(*alike[y - 1 : y + 2, x]), _summit(*alike[y, x - 1 : x + 2])])
    return np.array([y - search, x - search]) + fine


def _summit(left: float, middle: float, right: float) -> float:
    """Where the parabola through values at -1, 0 and 1 is highest."""
    bend = left - 2.0 * middle + right
    return 0.5 * (left - right) / bend if bend < 0.0 else 0.0


def _place(points: NDArray[np.float64], cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 3) ground points of fractional (row, column) cells."""
    origin = points[0, 0]
    return origin + cells[:, :1] * (points[1, 0] - origin) + cells[:, 1:] * (points[0, 1] - origin)
