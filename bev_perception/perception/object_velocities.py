# SPDX-License-Identifier: Apache-2.0
"""Velocities of objects from a network's velocity map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import BevGrid, ObjectBox
from bev_perception.geometry.rasterize import cells_in_convex_polygon


def with_velocities(
    objects: Sequence[ObjectBox],
    grid: BevGrid,
    velocity: NDArray[np.float32],
    probability: NDArray[np.float32],
) -> tuple[ObjectBox, ...]:
    """The objects with the mean velocity of their cells, weighted by occupancy.

    Args:
        objects: boxes in the grid's frame.
        grid: extent and resolution.
        velocity: (2, num_y, num_x) metres per second over ground, x then y.
        probability: (num_y, num_x) occupancy in 0..1.

    Returns:
        The boxes in their order; one whose footprint holds no occupied cell keeps its velocity.
    """
    return tuple(_with_velocity(box, grid, velocity, probability) for box in objects)


def _with_velocity(
    box: ObjectBox,
    grid: BevGrid,
    velocity: NDArray[np.float32],
    probability: NDArray[np.float32],
) -> ObjectBox:
    rows, columns = cells_in_convex_polygon(grid, box.footprint)
    weights = probability[rows, columns].astype(np.float64)
    total = float(weights.sum())
    if total <= 0.0:
        return box
    mean = (velocity[:, rows, columns] * weights).sum(axis=1) / total
    return replace(box, velocity=np.array([mean[0], mean[1], 0.0]))
