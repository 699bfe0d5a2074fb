# SPDX-License-Identifier: Apache-2.0
"""Heights of the ground in small tiles, from two views of it whose relative pose is known.

Both images are drawn as seen from above, as if all they show lay in the plane z = 0 of base_link.
Where the ground lies at height delta instead, what a camera at height h shows is drawn magnified
about the camera's foot by h / (h - delta). Of two cameras at that height, whose feet are b apart,
a tile's texture then appears shifted by -b delta / (h - delta), whatever its place: parallax of a
plane. So a tile of one picture is looked for in the other along b, and its shift says how high
the ground is. Two views are the same camera before and after some travel, or two cameras at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import PinholeCamera, RigidTransform

CELL_M = 0.05
"""Resolution of the pictures from above."""
TILE_PX = 30
"""Side of a tile."""
REACH_PX = 12
"""Largest shift that is looked for."""
LARGEST_HEIGHT_M = 0.4
"""Largest height that is looked for."""
SMALLEST_CORRELATION = 0.6
SMALLEST_TEXTURE = 1.5
"""Standard deviation of grey levels in a tile."""
LARGEST_SIGMA_M = 0.12
NEAREST_M, FURTHEST_M = 1.0, 8.5
"""From the camera's foot; further away a cell is less than a pixel."""
HALF_WIDTH_M = 2.0
"""Of the strip that the vehicle drives on: beside it may be a kerb."""


@dataclass(frozen=True)
class View:
    """A grey image and where it was taken.

    Attributes:
        gray: (H, W) uint8 of the camera's size.
        camera: intrinsics.
        base_T_camera: pose of the optical frame in base_link of a common moment.
    """

    gray: NDArray[np.uint8]
    camera: PinholeCamera
    base_T_camera: RigidTransform


@dataclass(frozen=True)
class TileHeights:
    """What two views say about the ground.

    Attributes:
        places: (N, 2) metres, x and y of the tiles' centres in base_link.
        heights_m: (N,) of the ground above the plane z = 0.
        sigmas_m: (N,) one standard deviation.
        travel: (2,) metres, from the first view's camera to the second one's.
    """

    places: NDArray[np.float64]
    heights_m: NDArray[np.float64]
    sigmas_m: NDArray[np.float64]
    travel: NDArray[np.float64]


def no_tiles() -> TileHeights:
    """Of two views that tell nothing."""
    return TileHeights(np.zeros((0, 2)), np.zeros(0), np.zeros(0), np.zeros(2))


def path_tiles(camera: PinholeCamera, base_T_camera: RigidTransform) -> NDArray[np.float64]:
    """(N, 2) centres, metres, of the tiles of the vehicle's own strip that a camera sees well."""
    side = TILE_PX * CELL_M
    x = np.arange(-12.0, 12.0 + side, side)
    y = np.array([-1.0, 0.0, 1.0]) * (HALF_WIDTH_M - side / 2.0)
    return visible_tiles(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2), camera, base_T_camera)


def visible_tiles(
    centers: NDArray[np.float64], camera: PinholeCamera, base_T_camera: RigidTransform
) -> NDArray[np.float64]:
    """Those of (N, 2) centres, metres, whose tiles a camera sees whole and from near."""
    half = TILE_PX * CELL_M / 2.0
    corners = np.array([(-half, -half), (-half, half), (half, half), (half, -half)])
    points = np.zeros((len(centers), 4, 3))
    points[..., :2] = centers[:, None] + corners
    pixels, _ = camera.project(base_T_camera.inverse().apply(points))
    distance = np.linalg.norm(centers - base_T_camera.translation[:2], axis=1)
    near = (distance > NEAREST_M) & (distance < FURTHEST_M)
    return centers[near & camera.contains(pixels).all(axis=1)]


def tile_heights(first: View, second: View, centers: NDArray[np.float64]) -> TileHeights:
    """Heights of the ground where two views show it alike.

    Args:
        first, second: extrinsics as well as they are known; the ground is near z = 0.
        centers: (N, 2) metres, tiles that the first view sees; see path_tiles.
    """
    height = float(first.base_T_camera.translation[2] + second.base_T_camera.translation[2]) / 2.0
    travel = (second.base_T_camera.translation - first.base_T_camera.translation)[:2]
    length = float(np.linalg.norm(travel))
    if not len(centers) or length < 0.1 or height < 0.3:
        return no_tiles()
    margin = (TILE_PX // 2 + REACH_PX + 1) * CELL_M
    origin = centers.min(axis=0) - margin
    size = np.ceil((centers.max(axis=0) + margin - origin) / CELL_M).astype(int)  # cells x, y
    picture, other = _from_above(first, origin, size), _from_above(second, origin, size)
    reach = min(REACH_PX, max(2, math.ceil(LARGEST_HEIGHT_M / height * length / CELL_M)))
    found = []
    for center in centers:
        corner = np.round((center - origin) / CELL_M).astype(int) - TILE_PX // 2
        shift = _shift(picture, other, corner, travel / length, reach)
        if shift is not None:
            share, sigma = np.array(shift) * CELL_M / length
            place = origin + (corner + (TILE_PX - 1) / 2.0) * CELL_M
            found.append((*place, -share * height / (1.0 - share), sigma * height))
    values = np.array(found, dtype=np.float64).reshape(-1, 4)
    values = values[values[:, 3] < LARGEST_SIGMA_M]
    return TileHeights(values[:, :2], values[:, 2], values[:, 3], travel)


def _from_above(
    view: View, origin: NDArray[np.float64], size: NDArray[np.int_]
) -> NDArray[np.uint8]:
    """(size y, size x) uint8: the plane z = 0 as the view shows it; 0 where it does not."""
    x, y = np.meshgrid(*(origin[axis] + np.arange(size[axis]) * CELL_M for axis in (0, 1)))
    points = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)])
    optical = view.base_T_camera.inverse().apply_columns(points)
    pixels, _ = view.camera.project(optical.T)
    u, v = np.nan_to_num(pixels, nan=-1e4).astype(np.float32).T.reshape(2, *x.shape)
    return _remapped(view.gray, u, v).astype(np.uint8, copy=False)


def _remapped(
    values: NDArray[Any], columns: NDArray[np.float32], rows: NDArray[np.float32]
) -> NDArray[Any]:
    """Values between pixels; zero outside."""
    return cv2.remap(values, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def _shift(
    first: NDArray[np.uint8],
    second: NDArray[np.uint8],
    corner: NDArray[np.int_],
    direction: NDArray[np.float64],
    reach: int,
) -> tuple[float, float] | None:
    """Cells along a direction by which a tile of the first picture lies further in the second.

    Returns:
        shift and its standard deviation, or None where the pictures do not tell.
    """
    column, row = corner.tolist()
    tile = first[row : row + TILE_PX, column : column + TILE_PX]
    around = second[
        row - REACH_PX : row + TILE_PX + REACH_PX, column - REACH_PX : column + TILE_PX + REACH_PX
    ]
    if tile.min() == 0 or float(tile.std()) < SMALLEST_TEXTURE or (around == 0).mean() > 0.3:
        return None
    scores = cv2.matchTemplate(around, tile, cv2.TM_CCOEFF_NORMED)
    along = np.arange(-REACH_PX, REACH_PX + 1, dtype=np.float32)
    aside = np.array([-1.0, -0.5, 0.0, 0.5, 1.0], dtype=np.float32)[:, None]
    columns = REACH_PX + along * direction[0] - aside * direction[1]
    rows = REACH_PX + along * direction[1] + aside * direction[0]
    profile = _remapped(scores, columns.astype(np.float32), rows.astype(np.float32)).max(axis=0)
    best = REACH_PX - reach + int(np.argmax(profile[REACH_PX - reach : REACH_PX + reach + 1]))
    if abs(along[best]) >= reach or profile[best] < SMALLEST_CORRELATION:
        return None
    before, peak, after = profile[best - 1 : best + 2].astype(float).tolist()
    curvature = 2.0 * peak - before - after
    if curvature < 1e-4:
        return None
    sigma = max(0.1, 0.3 * math.sqrt((1.0 - min(peak, 1.0)) / curvature))
    return float(along[best]) + (after - before) / (2.0 * curvature), sigma
