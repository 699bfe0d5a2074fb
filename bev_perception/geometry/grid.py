# SPDX-License-Identifier: Apache-2.0
"""The BEV grid: metres, cells and the order of nav_msgs/OccupancyGrid.

Arrays are ``[row, column]`` with the column along x (forward) and the row along y (left),
both growing, which is OccupancyGrid's row-major order: publishing copies and never
rearranges. Seen as a picture with row 0 at the top, forward is right and left is down;
visualization turns it, nothing else does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.errors import ConfigurationError

MAX_CELLS = 1 << 24
"""Cells of a grid, sixteen million; published ones have forty thousand."""


@dataclass(frozen=True)
class BevGrid:
    """A regular grid on the xy plane of levelled base_link.

    Attributes:
        x_min, y_min: metres; the outer corner of cell (0, 0), OccupancyGrid's origin.
        resolution: metres per cell side.
        num_x, num_y: cells along x and y.
    """

    x_min: float
    y_min: float
    resolution: float
    num_x: int
    num_y: int

    def __post_init__(self) -> None:
        numbers = (self.x_min, self.y_min, self.resolution)
        if not (np.isfinite(numbers).all() and self.resolution > 0):
            raise ConfigurationError(
                f"grid needs a finite corner and a positive resolution, got x_min={self.x_min} "
                f"y_min={self.y_min} resolution={self.resolution}"
            )
        sides = (self.num_x, self.num_y)
        whole = bool(np.isfinite(sides).all()) and all(int(side) == side for side in sides)
        if not whole or self.num_x < 1 or self.num_y < 1:
            raise ConfigurationError(
                f"grid needs a whole number of cells per side, got {self.num_x} x {self.num_y}"
            )
        if self.num_x * self.num_y > MAX_CELLS:
            raise ConfigurationError(
                f"grid of {self.num_x:.0f} x {self.num_y:.0f} cells is larger than the "
                f"{MAX_CELLS} cells that a network can hold; take a coarser resolution"
            )
        object.__setattr__(self, "num_x", int(self.num_x))
        object.__setattr__(self, "num_y", int(self.num_y))

    @classmethod
    def centered(cls, half_extent: float, resolution: float) -> BevGrid:
        """A square grid over +-half_extent metres around base_link.

        Raises:
            ConfigurationError: the extent is not a whole number of cells.
        """
        if not (0 < half_extent < np.inf and 0 < resolution < np.inf):
            raise ConfigurationError(
                f"grid needs a positive extent and resolution, got +-{half_extent} m and "
                f"{resolution} m"
            )
        cells = round(2 * half_extent / resolution)
        if abs(cells * resolution - 2 * half_extent) > 1e-6:
            raise ConfigurationError(
                f"+-{half_extent} m is not a whole number of {resolution} m cells"
            )
        return cls(-half_extent, -half_extent, resolution, cells, cells)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) = (num_y, num_x)."""
        return self.num_y, self.num_x

    @property
    def x_max(self) -> float:
        """Outer edge in metres."""
        return self.x_min + self.num_x * self.resolution

    @property
    def y_max(self) -> float:
        """Outer edge in metres."""
        return self.y_min + self.num_y * self.resolution

    @property
    def x_centers(self) -> NDArray[np.float64]:
        """(num_x,) metres."""
        return self.x_min + (np.arange(self.num_x, dtype=np.float64) + 0.5) * self.resolution

    @property
    def y_centers(self) -> NDArray[np.float64]:
        """(num_y,) metres."""
        return self.y_min + (np.arange(self.num_y, dtype=np.float64) + 0.5) * self.resolution

    @property
    def cell_centers(self) -> NDArray[np.float64]:
        """(num_y, num_x, 2) metres, last axis x, y."""
        return np.stack(np.meshgrid(self.x_centers, self.y_centers), axis=-1)

    def is_near(self, x: float, y: float, reach: float) -> bool:
        """Whether a point lies in the grid's extent grown by reach metres on every side."""
        along_x = self.x_min - reach <= x <= self.x_max + reach
        return along_x and self.y_min - reach <= y <= self.y_max + reach

    def to_cells(self, points: ArrayLike) -> NDArray[np.float64]:
        """Points (..., 2) x, y in metres to continuous (row, column); centres are integers."""
        values = np.asarray(points, dtype=np.float64)
        column = (values[..., 0] - self.x_min) / self.resolution - 0.5
        row = (values[..., 1] - self.y_min) / self.resolution - 0.5
        return np.stack([row, column], axis=-1)

    def to_metres(self, cells: ArrayLike) -> NDArray[np.float64]:
        """Continuous (row, column) (..., 2) to x, y in metres. Inverse of to_cells."""
        values = np.asarray(cells, dtype=np.float64)
        x = self.x_min + (values[..., 1] + 0.5) * self.resolution
        y = self.y_min + (values[..., 0] + 0.5) * self.resolution
        return np.stack([x, y], axis=-1)

    def contains(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Whether points (..., 2) in metres lie on the grid."""
        values = np.asarray(points, dtype=np.float64)
        return (
            (values[..., 0] >= self.x_min)
            & (values[..., 0] < self.x_max)
            & (values[..., 1] >= self.y_min)
            & (values[..., 1] < self.y_max)
        )

    def to_dict(self) -> dict[str, float | int]:
        """Plain values that ``BevGrid(**values)`` restores."""
        return {
            "x_min": self.x_min,
            "y_min": self.y_min,
            "resolution": self.resolution,
            "num_x": self.num_x,
            "num_y": self.num_y,
        }
