# SPDX-License-Identifier: Apache-2.0
"""What the network should answer: masks, centre map and offsets made from boxes.

The definitions are Simple-BEV's without its biases: footprints by cell centres instead of
polygons with truncated corners, centres at their exact metres instead of rounded to cells,
the Gaussian's width in metres instead of cells, offsets once and towards the centre.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import BevGrid, ObjectBox
from bev_perception.geometry.class_sets import VEHICLES, checked_class_set, class_index
from bev_perception.geometry.rasterize import cells_in_convex_polygon

_GAUSSIAN_REACH = 6.0
"""Standard deviations from a centre up to which its Gaussian is drawn; beyond it is under 2e-8."""


@dataclass(frozen=True)
class TargetSettings:
    """How boxes become targets.

    Attributes:
        min_visibility: a vehicle counts as visible when more than this share of it is seen;
            cells of the others are left out of loss and IoU. Unknown visibility (NaN) counts
            as visible.
        center_sigma_m: standard deviation of the centre map's Gaussians, metres.
        classes: groups of geometry.class_sets; objects of no group leave no trace.
    """

    min_visibility: float = 0.4
    center_sigma_m: float = 1.5
    classes: tuple[str, ...] = VEHICLES

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", checked_class_set(self.classes))
        if not 0.0 <= self.min_visibility < 1.0:
            raise ConfigurationError(
                f"min_visibility must lie in 0 to 1 (1 excluded), got {self.min_visibility}"
            )
        if not self.center_sigma_m > 0.0:
            raise ConfigurationError(
                f"center_sigma_m must be a positive length in metres, got {self.center_sigma_m}"
            )


@dataclass(frozen=True)
class Targets:
    """The answer for one moment on one grid, arrays in the grid's order.

    Attributes:
        classes: (K, num_y, num_x) bool, inside some footprint of each class, visible or not.
        valid: (num_y, num_x) bool, False inside footprints of objects that are not visible.
        center: (num_y, num_x) float32, maximum of the objects' Gaussians, 1 at a centre.
        offset: (2, num_y, num_x) float32 metres, x then y: the object's centre minus the
            cell's centre inside footprints, 0 elsewhere.
    """

    classes: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    center: NDArray[np.float32]
    offset: NDArray[np.float32]

    @property
    def segmentation(self) -> NDArray[np.bool_]:
        """(num_y, num_x) bool, inside some footprint of any class, visible or not."""
        return np.asarray(self.classes.any(axis=0))


def is_visible(box: ObjectBox, min_visibility: float) -> bool:
    """Whether a box counts: seen for more than min_visibility, or nobody knows."""
    return bool(np.isnan(box.visibility) or box.visibility > min_visibility)


def make_targets(
    objects: Iterable[ObjectBox], grid: BevGrid, settings: TargetSettings | None = None
) -> Targets:
    """Targets of all objects of the configured classes, by default of all vehicles.

    Args:
        objects: boxes in levelled base_link, the frame of the grid.
        grid: extent and resolution.
        settings: thresholds; default TargetSettings().
    """
    settings = settings or TargetSettings()
    classes = np.zeros((len(settings.classes), *grid.shape), dtype=bool)
    valid = np.ones(grid.shape, dtype=bool)
    center = np.zeros(grid.shape, dtype=np.float32)
    offset = np.zeros((2, *grid.shape), dtype=np.float32)
    gaussian_reach = _GAUSSIAN_REACH * settings.center_sigma_m
    # Large first, so that where footprints touch the small one keeps its cells.
    for box in sorted(objects, key=lambda box: -float(box.size[0] * box.size[1])):
        number = class_index(box.label, settings.classes)
        if number is None:
            continue
        x, y = box.center[:2].tolist()
        half_diagonal = math.hypot(*box.size.tolist()) / 2.0
        if not grid.is_near(x, y, max(gaussian_reach, half_diagonal)):
            continue  # most boxes of a drive lie far from a small grid
        _raise_to_gaussian(center, grid, x, y, settings.center_sigma_m)
        rows, columns = cells_in_convex_polygon(grid, box.footprint)
        classes[:, rows, columns] = False
        classes[number, rows, columns] = True
        valid[rows, columns] = is_visible(box, settings.min_visibility)
        offset[0, rows, columns] = x - grid.x_centers[columns]
        offset[1, rows, columns] = y - grid.y_centers[rows]
    return Targets(classes, valid, center, offset)


def _raise_to_gaussian(
    center: NDArray[np.float32], grid: BevGrid, x: float, y: float, sigma_m: float
) -> None:
    """In place: maximum of the map and exp(-d^2 / (2 sigma^2)), d metres from (x, y).

    Beyond _GAUSSIAN_REACH nothing is computed.
    """
    reach = _GAUSSIAN_REACH * sigma_m
    columns = slice(*np.searchsorted(grid.x_centers, (x - reach, x + reach)))
    rows = slice(*np.searchsorted(grid.y_centers, (y - reach, y + reach)))
    along_x = np.exp(-((grid.x_centers[columns] - x) ** 2) / (2.0 * sigma_m**2))
    along_y = np.exp(-((grid.y_centers[rows] - y) ** 2) / (2.0 * sigma_m**2))
    window = center[rows, columns]
    np.maximum(window, np.outer(along_y, along_x), out=window, casting="same_kind")
