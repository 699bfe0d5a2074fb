# SPDX-License-Identifier: Apache-2.0
"""The embedded town as the population of a CARLA world."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import lru_cache

import carla
import numpy as np

from bev_perception.geometry import ObjectBox, RigidTransform
from bev_perception.simulation import ObjectState, Town, Traffic, WorldState
from bev_perception.simulation.lanes import LaneGraph
from bev_perception.simulation.parked import ParkedVehicle, park_vehicles
from bev_perception.simulation.scene import CATALOG
from bev_perception.simulation.traffic import EGO_REAR_AXLE
from carla_double.left_handed import actor_matrix, location, vector

EGO_SIZE = np.array(CATALOG["sedan"].size)
WHEEL_RADIUS_M, HALF_TRACK_M = 0.33, 0.78

TYPES = {
    "sedan": "vehicle.tesla.model3",
    "hatchback": "vehicle.audi.tt",
    "estate": "vehicle.audi.tt",
    "suv": "vehicle.audi.tt",
    "pickup": "vehicle.audi.tt",
    "van": "vehicle.mercedes.sprinter",
    "delivery_van": "vehicle.mercedes.sprinter",
    "box_truck": "vehicle.carlamotors.carlacola",
    "tipper_truck": "vehicle.carlamotors.carlacola",
    "city_bus": "vehicle.mitsubishi.fusorosa",
    "motorcycle": "vehicle.kawasaki.ninja",
    "bicycle": "vehicle.bh.crossbike",
    "pedestrian": "walker.pedestrian.0001",
}
"""Blueprint of each of the town's models."""

TAGS = {"truck": "Truck", "bus": "Bus", "motorcycle": "Motorcycle", "bicycle": "Bicycle"}
"""Semantic tag of parked vehicles; all others are cars."""

BOX_OFFSET_M = np.array([0.12, 0.0, 0.03])
"""From the middle of a vehicle's bottom back to its actor's origin: bounding boxes have offsets."""


@dataclass(frozen=True)
class Body:
    """Where an actor is, in CARLA's axes, and how fast.

    Attributes:
        matrix: (4, 4) of its transform.
        velocity: metres per second.
        box: bounding box relative to it.
        model: of the town's catalogue.
    """

    matrix: np.ndarray
    velocity: carla.Vector3D
    box: carla.BoundingBox
    model: str


class TownActors:
    """A town whose vehicles and people become visible when actors are spawned for them.

    The first vehicle that is spawned is the town's ego vehicle, wherever one asks for it;
    the others are those of its traffic that are near, in the order of their ids.

    Args:
        seed: of town and traffic.
        tilt_rad: roll and pitch of the ego vehicle's body.
    """

    def __init__(self, seed: int = 3, tilt_rad: tuple[float, float] = (0.0, 0.0)) -> None:
        self.town, pristine, parked = _town(seed)
        self.traffic = copy.deepcopy(pristine, {id(self.town): self.town})
        self.seed = seed
        self._tilt = RigidTransform.from_euler(*tilt_rad)
        self.state: WorldState = self.traffic.state()
        moving = {entry.box.object_id: entry for entry in self.state.objects}
        first_parked = max((k for k, entry in moving.items()), default=0) + 1
        places = {(round(p.x, 6), round(p.y, 6)) for p in parked}
        standing = {k for k, e in moving.items() if _place(e) in places}
        first_parked = min(standing, default=first_parked)
        walking = {k for k, entry in moving.items() if entry.model == "pedestrian"}
        self.vehicle_ids = sorted(k for k in moving if k < min(walking, default=first_parked))
        self.walker_ids = sorted(walking)
        self.first_parked = first_parked
        self.parked_boxes = [_parked_box(index, p) for index, p in enumerate(parked)]
        self.shown: set[int] = set()
        self.spawn_transforms = self._spawn_transforms()

    def step(self, dt_s: float) -> None:
        """Lets time pass for everybody."""
        self.traffic.step(dt_s)
        self.state = self.traffic.state()

    @property
    def map_T_base(self) -> RigidTransform:
        """The ego vehicle's base_link, tilted."""
        return self.state.map_T_base @ self._tilt

    @property
    def map_T_ego(self) -> RigidTransform:
        """The ego vehicle's actor: its origin and body axes (x forward, y left, z up)."""
        bottom = np.array([EGO_REAR_AXLE, 0.0, 0.0]) - BOX_OFFSET_M
        return self.map_T_base @ RigidTransform(np.eye(3), bottom)

    def ego_body(self) -> Body:
        """The ego vehicle."""
        velocity = vector(self.state.ego_velocity)
        return Body(actor_matrix(self.map_T_ego), velocity, _vehicle_box(EGO_SIZE), "sedan")

    def ego_wheels(self) -> list[carla.WheelPhysicsControl]:
        """Front left, front right, rear left, rear right: in the world, in centimetres."""
        wheels = []
        for x in (2.0 * EGO_REAR_AXLE, 0.0):
            for y in (HALF_TRACK_M, -HALF_TRACK_M):
                wheel = carla.WheelPhysicsControl()
                place = self.map_T_base.apply([x, y, WHEEL_RADIUS_M])
                wheel.position = vector(place * 100.0)
                wheel.radius = WHEEL_RADIUS_M * 100.0
                wheels.append(wheel)
        return wheels

    def body(self, object_id: int) -> Body | None:
        """A vehicle or pedestrian; None while it is far away."""
        entry = next((e for e in self.state.objects if e.box.object_id == object_id), None)
        return None if entry is None else _body(entry)

    def visible_state(self) -> WorldState:
        """The town with what has been spawned, and all that is parked."""
        objects = tuple(
            entry
            for entry in self.state.objects
            if entry.box.object_id >= self.first_parked or entry.box.object_id in self.shown
        )
        return replace(self.state, objects=objects)

    def _spawn_transforms(self) -> list[carla.Transform]:
        """Of the ego vehicle and of the traffic near it, half a metre above the ground."""
        bodies = [self.ego_body(), *(self.body(k) for k in self.vehicle_ids)]
        found = []
        for body in bodies:
            assert body is not None
            x, y, z = body.matrix[:3, 3]
            yaw = float(np.degrees(np.arctan2(body.matrix[1, 0], body.matrix[0, 0])))
            place = carla.Location(x=float(x), y=float(y), z=float(z) + 0.5)
            found.append(carla.Transform(place, carla.Rotation(yaw=yaw)))
        return found

    def parked(self, tag: str) -> list[carla.BoundingBox]:
        """Boxes in the world of parked vehicles of a tag; a car consists of body and cabin."""
        boxes = []
        for box in self.parked_boxes:
            if TAGS.get(box.label, "Car") != tag:
                continue
            yaw = -float(np.degrees(box.pose.yaw))
            for part in (1.0, 0.55):
                found = carla.BoundingBox(location(box.center), _half(box.size * part))
                found.rotation = carla.Rotation(yaw=yaw)
                boxes.append(found)
        return boxes


@lru_cache(maxsize=2)
def _town(seed: int) -> tuple[Town, Traffic, list[ParkedVehicle]]:
    """Made once: it is what most of a test's time would go into."""
    town = Town(seed)
    return town, Traffic(town, seed), park_vehicles(town, seed, LaneGraph(town.network))


def _body(entry: ObjectState) -> Body:
    box = entry.box
    half_height = np.array([0.0, 0.0, box.size[2] / 2.0])
    if entry.model == "pedestrian":
        pose, local = box.pose, carla.BoundingBox(carla.Location(), _half(box.size))
    else:
        pose = box.pose @ RigidTransform(np.eye(3), -half_height - BOX_OFFSET_M)
        local = _vehicle_box(box.size)
    return Body(actor_matrix(pose), vector(box.velocity), local, entry.model)


def _vehicle_box(size: np.ndarray) -> carla.BoundingBox:
    return carla.BoundingBox(
        location(BOX_OFFSET_M + np.array([0.0, 0.0, size[2] / 2.0])), _half(size)
    )


def _half(size: np.ndarray) -> carla.Vector3D:
    return carla.Vector3D(*(float(side) / 2.0 for side in size))


def _place(entry: ObjectState) -> tuple[float, float]:
    x, y, _ = entry.box.center
    return round(float(x), 6), round(float(y), 6)


def _parked_box(index: int, parked: ParkedVehicle) -> ObjectBox:
    entry = CATALOG[parked.model]
    z = parked.z + entry.size[2] / 2.0
    pose = RigidTransform.from_euler(yaw=parked.yaw, translation=(parked.x, parked.y, z))
    return ObjectBox(entry.label, index, pose, np.array(entry.size), np.zeros(3))
