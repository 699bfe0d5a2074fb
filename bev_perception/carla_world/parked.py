# SPDX-License-Identifier: Apache-2.0
"""Parked cars that are part of a town and no actors."""

from __future__ import annotations

from dataclasses import replace

import carla
import numpy as np
from numpy.typing import NDArray

from bev_perception.carla_world.actor_classes import is_possible
from bev_perception.carla_world.conversion import box_of, pose_of
from bev_perception.carla_world.faults import server_calls
from bev_perception.geometry import ObjectBox, RigidTransform, box_from_carla

FIRST_PARKED_ID = 10_000_000
"""Ids of parked cars begin here; CARLA's actors have small ones."""

_TAGS = {
    "Vehicles": "car",
    "Car": "car",
    "Truck": "truck",
    "Bus": "bus",
    "Motorcycle": "motorcycle",
    "Bicycle": "bicycle",
}
"""Semantic tags by name: 0.9.13 knows only the first, later releases the others."""

_INSIDE = np.array([0.0, 0.0, 0.2])
"""From a vehicle's origin on the ground to a place in its box."""

_SMALLEST_M3 = 0.3
_WHOLE_LENGTH_M = 1.2
_TRUCK_LENGTH_M, _TRUCK_HEIGHT_M, _CYCLE_WIDTH_M = 6.5, 2.8, 1.1


def parked_vehicles(world: carla.World) -> tuple[ObjectBox, ...]:
    """Boxes in map of all vehicles that belong to the town; call it before spawning.

    A car of several meshes counts once. Ids follow from the places, so they are the same in
    every session in the same town.

    Raises:
        CarlaError: the server does not answer.
    """
    with server_calls("asking for parked cars"):
        found = [
            box
            for name, label in _TAGS.items()
            if hasattr(carla.CityObjectLabel, name)
            for entry in world.get_environment_objects(getattr(carla.CityObjectLabel, name))
            if (box := _box(entry.bounding_box, label, name == "Vehicles")) is not None
        ]
        actors = _vehicle_centers(world)
    wholes = _without_parts([box for box in found if not _is_actor(box, actors)])
    wholes.sort(key=lambda box: (round(box.center[0], 2), round(box.center[1], 2)))
    return tuple(
        replace(box, object_id=FIRST_PARKED_ID + index) for index, box in enumerate(wholes)
    )


def _box(found: carla.BoundingBox, label: str, by_size: bool) -> ObjectBox | None:
    """A vehicle's box with its longer side along x; None for a part or something impossible."""
    values = box_of(found)
    at_origin = values._replace(location=np.zeros(3))
    if not is_possible(at_origin) or 8.0 * np.prod(values.extent) < _SMALLEST_M3:
        return None
    box = box_from_carla(label, 0, values)
    if 2.0 * values.extent.max() < _WHOLE_LENGTH_M:
        return None
    if box.size[1] > box.size[0]:
        quarter = RigidTransform.from_euler(yaw=np.pi / 2.0)
        box = replace(box, pose=box.pose @ quarter, size=box.size[[1, 0, 2]])
    return replace(box, label=_class_by_size(box.size)) if by_size else box


def _class_by_size(size: NDArray[np.float64]) -> str:
    if size[1] < _CYCLE_WIDTH_M:
        return "motorcycle"
    return "truck" if size[0] > _TRUCK_LENGTH_M or size[2] > _TRUCK_HEIGHT_M else "car"


def _vehicle_centers(world: carla.World) -> NDArray[np.float64]:
    """(N, 3) origins in map of vehicles that are actors."""
    actors = world.get_actors().filter("vehicle.*")
    return np.array([pose_of(actor.get_transform()).translation for actor in actors]).reshape(-1, 3)


def _is_actor(box: ObjectBox, centers: NDArray[np.float64]) -> bool:
    return any(box.contains(center + _INSIDE) for center in centers)


def _without_parts(boxes: list[ObjectBox]) -> list[ObjectBox]:
    """Boxes whose centre lies in no larger one."""
    wholes: list[ObjectBox] = []
    for box in sorted(boxes, key=lambda entry: -float(np.prod(entry.size))):
        near = (
            whole for whole in wholes if np.abs(whole.center - box.center).max() < whole.size.max()
        )
        if not any(whole.contains(box.center) for whole in near):
            wholes.append(box)
    return wholes
