# SPDX-License-Identifier: Apache-2.0
"""CARLA's value types to this project's poses and back; the mathematics is geometry.frames'."""

from __future__ import annotations

import carla
import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import (
    CarlaBox,
    PinholeCamera,
    RigidTransform,
    pose_from_carla,
    pose_to_carla,
)


def pose_of(transform: carla.Transform) -> RigidTransform:
    """Right-handed pose of a CARLA transform: ``map_T_actor`` of an actor's, for one."""
    rotation = transform.rotation
    return pose_from_carla(
        vector_of(transform.location), rotation.roll, rotation.pitch, rotation.yaw
    )


def transform_of(pose: RigidTransform) -> carla.Transform:
    """CARLA transform of a right-handed pose."""
    (x, y, z), (roll, pitch, yaw) = pose_to_carla(pose)
    return carla.Transform(
        carla.Location(x=float(x), y=float(y), z=float(z)),
        carla.Rotation(pitch=pitch, yaw=yaw, roll=roll),
    )


def vector_of(vector: carla.Vector3D) -> NDArray[np.float64]:
    """(3,) of CARLA's own components."""
    return np.array([vector.x, vector.y, vector.z])


def box_of(box: carla.BoundingBox, velocity: carla.Vector3D | None = None) -> CarlaBox:
    """CARLA's bounding box with a velocity, in CARLA's axes."""
    rotation = box.rotation
    return CarlaBox(
        vector_of(box.location),
        rotation.roll,
        rotation.pitch,
        rotation.yaw,
        vector_of(box.extent),
        np.zeros(3) if velocity is None else vector_of(velocity),
    )


def field_of_view_deg(camera: PinholeCamera) -> float:
    """Horizontal field of view that gives CARLA's camera the focal length fx.

    fx = width / (2 tan(fov / 2)); rounded to the single precision in which CARLA keeps it.
    """
    return float(np.float32(2.0 * np.degrees(np.arctan2(camera.width, 2.0 * camera.fx))))
