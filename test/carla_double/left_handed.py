# SPDX-License-Identifier: Apache-2.0
"""The embedded town's poses in CARLA's axes and back, by CARLA's own mathematics.

On purpose not geometry.frames, which is what the tests are about: here axes are taken one by
one, and a rotation is read off the matrix that carla.Transform.get_matrix documents.
"""

from __future__ import annotations

import carla
import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import RigidTransform

Matrix = NDArray[np.float64]


def location(point: NDArray[np.float64]) -> carla.Location:
    """Where a point of the town's map is in CARLA: y points to the other side."""
    return carla.Location(x=float(point[0]), y=-float(point[1]), z=float(point[2]))


def vector(values: NDArray[np.float64]) -> carla.Vector3D:
    """A free vector of the town's map in CARLA."""
    return carla.Vector3D(x=float(values[0]), y=-float(values[1]), z=float(values[2]))


def matrix_of(transform: carla.Transform) -> Matrix:
    """(4, 4) of a transform: columns forward, right, up, place."""
    return np.array(transform.get_matrix())


def transform_of(matrix: Matrix) -> carla.Transform:
    """The transform whose get_matrix is this one."""
    pitch = np.arcsin(np.clip(matrix[2, 0], -1.0, 1.0))
    yaw = np.arctan2(matrix[1, 0], matrix[0, 0])
    roll = np.arctan2(-matrix[2, 1], matrix[2, 2])
    degrees = {
        "pitch": float(np.degrees(pitch)),
        "yaw": float(np.degrees(yaw)),
        "roll": float(np.degrees(roll)),
    }
    x, y, z = (float(value) for value in matrix[:3, 3])
    return carla.Transform(carla.Location(x=x, y=y, z=z), carla.Rotation(**degrees))


def actor_matrix(map_T_actor: RigidTransform) -> Matrix:
    """(4, 4) of an actor whose body axes (x forward, y left, z up) have a pose in the map."""
    forward, left, up = map_T_actor.rotation.T
    columns = [forward, -left, up, map_T_actor.translation]
    matrix = np.eye(4)
    for index, column in enumerate(columns):
        matrix[:3, index] = column[0], -column[1], column[2]
    return matrix


def right_handed(matrix: Matrix) -> RigidTransform:
    """Pose of body axes (x forward, y left, z up) of an actor's (4, 4)."""
    forward, right, up, place = (
        np.array([column[0], -column[1], column[2]]) for column in matrix[:3].T
    )
    return RigidTransform(np.stack([forward, -right, up], axis=-1), place)


def optical(matrix: Matrix) -> RigidTransform:
    """Pose of the optical axes (x right, y down, z forward) of a camera's (4, 4)."""
    forward, right, up, place = (
        np.array([column[0], -column[1], column[2]]) for column in matrix[:3].T
    )
    return RigidTransform(np.stack([right, -up, forward], axis=-1), place)
