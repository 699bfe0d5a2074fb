# SPDX-License-Identifier: Apache-2.0
"""How wrong velocities of objects are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bev_perception.evaluation.center_matching import match_objects
from bev_perception.geometry import ObjectBox

MOVING_M_PER_S = 1.0
"""An object moves when it is faster than this."""


@dataclass(frozen=True)
class VelocityErrors:
    """Sums over found objects; sums of these pool over a split.

    Attributes:
        objects, error: all, and the sum of their errors, metres per second.
        moving, moving_error: those that move.
        speed: sum of the speeds of those that move, the error of one who says 0 always.
        told: whether any object was given a known velocity other than 0.
    """

    objects: int = 0
    error: float = 0.0
    moving: int = 0
    moving_error: float = 0.0
    speed: float = 0.0
    told: bool = False

    def __add__(self, other: VelocityErrors) -> VelocityErrors:
        return VelocityErrors(
            self.objects + other.objects,
            self.error + other.error,
            self.moving + other.moving,
            self.moving_error + other.moving_error,
            self.speed + other.speed,
            self.told or other.told,
        )


def velocity_error(errors: VelocityErrors) -> float:
    """Mean error of the found objects, metres per second; NaN where none has a velocity."""
    return errors.error / errors.objects if errors.objects and errors.told else float("nan")


def moving_velocity_error(errors: VelocityErrors) -> float:
    """The same of those that move."""
    return errors.moving_error / errors.moving if errors.moving and errors.told else float("nan")


def velocity_errors(
    found: Sequence[ObjectBox],
    truth: Sequence[ObjectBox],
    visible: Sequence[bool],
    max_distance_m: float,
) -> VelocityErrors:
    """Errors in the plane of the objects of one moment that were found.

    Args:
        found, truth: in one frame; true ones without a known velocity are left out, and one
            found without counts as said to stand.
        visible: per true object, whether it counts.
        max_distance_m: see match_centers.
    """
    matches = match_objects(found, truth, visible, max_distance_m)
    told = [np.nan_to_num(box.velocity[:2]) for box in found]
    total = VelocityErrors(told=any(velocity.any() for velocity in told))
    for velocity, number in zip(told, matches.tolist()):
        if number < 0 or not np.isfinite(truth[number].velocity[:2]).all():
            continue
        error = float(np.linalg.norm(velocity - truth[number].velocity[:2]))
        speed = float(np.linalg.norm(truth[number].velocity[:2]))
        moves = speed > MOVING_M_PER_S
        total += VelocityErrors(1, error, int(moves), error * moves, speed * moves)
    return total
