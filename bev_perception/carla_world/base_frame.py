# SPDX-License-Identifier: Apache-2.0
"""Where base_link is on a vehicle of CARLA: on the ground, below the rear axle."""

from __future__ import annotations

import carla
import numpy as np
from numpy.typing import NDArray

from bev_perception.carla_world.conversion import box_of, pose_of, vector_of
from bev_perception.carla_world.faults import server_calls
from bev_perception.geometry import RigidTransform, points_from_carla, pose_from_carla

CENTIMETRE = 0.01
STANDING_M_S = 0.1
"""Wheels are told in the world at a moment of their own, so they fit a standing vehicle alone."""

SAME_AXLE_M = 0.3
AXLE_SHARE = 0.29
"""Half the wheelbase over the length of a usual car."""


def measure_base(vehicle: carla.Vehicle) -> tuple[RigidTransform, str]:
    """``vehicle_T_base`` and, where the wheels do not tell it, a remark in words.

    CARLA's documentation gives no unit for a wheel's position; it is the world's, in
    centimetres (carla issue 2153), and zero in some releases. So it must fit the bounding
    box, or the box alone decides.
    """
    low, high = _box_corners(vehicle)
    refusal = "it is moving"
    if np.linalg.norm(vector_of(vehicle.get_velocity())) <= STANDING_M_S:
        wheels, radii = _wheels(vehicle)
        refusal = _misfit(wheels, radii, low, high)
        if not refusal:
            rear = wheels[:, 0] < wheels[:, 0].min() + SAME_AXLE_M
            ground = float((wheels[rear, 2] - radii[rear]).mean())
            place = np.array([*wheels[rear, :2].mean(axis=0), ground])
            return RigidTransform(np.eye(3), place), ""
    middle, length = (low + high) / 2.0, high[0] - low[0]
    place = np.array([middle[0] - AXLE_SHARE * length, middle[1], low[2]])
    remark = (
        f"the wheels of {vehicle.type_id} do not tell where its rear axle is ({refusal}); "
        f"base_link is put {-place[0]:.2f} m behind its origin, from its bounding box, which may "
        f"be a few decimetres wrong"
    )
    return RigidTransform(np.eye(3), place), remark


def _box_corners(vehicle: carla.Vehicle) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest coordinates (3,) of the bounding box in the vehicle's body frame."""
    box = box_of(vehicle.bounding_box)
    pose = pose_from_carla(box.location, box.roll_deg, box.pitch_deg, box.yaw_deg)
    half = np.abs(pose.rotation) @ box.extent
    return pose.translation - half, pose.translation + half


def _wheels(vehicle: carla.Vehicle) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wheel centres (N, 3) in the vehicle's body frame and radii (N,), metres."""
    with server_calls("asking for the wheels of the ego vehicle"):
        wheels = list(vehicle.get_physics_control().wheels)
    places = np.array([vector_of(wheel.position) for wheel in wheels]).reshape(-1, 3) * CENTIMETRE
    vehicle_T_map = pose_of(vehicle.get_transform()).inverse()
    radii = np.array([wheel.radius for wheel in wheels]) * CENTIMETRE
    return vehicle_T_map.apply(points_from_carla(places)), radii


def _misfit(
    wheels: NDArray[np.float64],
    radii: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> str:
    """Why wheels cannot be those of a vehicle with this bounding box; empty when they can."""
    if len(wheels) < 2:
        return f"it has {len(wheels)} wheels"
    if (wheels < low - 0.3).any() or (wheels > high + 0.3).any():
        return "they lie outside its bounding box"
    wheelbase, length = float(np.ptp(wheels[:, 0])), float(high[0] - low[0])
    if not 0.35 * length < wheelbase < 0.95 * length:
        return f"a wheelbase of {wheelbase:.2f} m does not fit a length of {length:.2f} m"
    if abs((wheels[:, 1] - (low[1] + high[1]) / 2.0).mean()) > 0.15:
        return "they do not lie to both sides of its middle"
    if abs((wheels[:, 2] - radii).min() - low[2]) > 0.3:
        return "they do not stand where its bounding box ends"
    return ""
