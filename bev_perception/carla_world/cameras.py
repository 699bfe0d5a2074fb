# SPDX-License-Identifier: Apache-2.0
"""The rig's cameras on the ego vehicle."""

from __future__ import annotations

from dataclasses import dataclass, replace

import carla
import numpy as np
from numpy.typing import NDArray

from bev_perception.carla_world.conversion import pose_of, transform_of
from bev_perception.carla_world.faults import server_calls
from bev_perception.carla_world.images import depth_from_carla, rgb_from_carla
from bev_perception.carla_world.lens import (
    camera_blueprint,
    check_image,
    differences,
    drawn_camera,
)
from bev_perception.carla_world.mailbox import Mailbox
from bev_perception.carla_world.spawned import SpawnedActors
from bev_perception.errors import CarlaError
from bev_perception.geometry import OPTICAL_T_BODY, Rig, RigCamera, RigidTransform

MOUNTING_TOLERANCE_M = 0.02
MOUNTING_TOLERANCE_DEG = 0.1

LAG_TOLERANCE_M = 1.0
LAG_TOLERANCE_DEG = 3.0
"""While driving: a server whose images lag a tick behind its poses is told of, not refused."""


@dataclass(frozen=True)
class _Sensor:
    """One camera sensor, what it must draw, and where it must be.

    Attributes:
        vehicle_T_sensor: of the sensor's body axes (x forward, y left, z up).
    """

    name: str
    mounted: RigCamera
    vehicle_T_sensor: RigidTransform
    mailbox: Mailbox


class VehicleCameras:
    """RGB cameras of a rig and, on demand, depth cameras at the same places.

    Args:
        world: of the vehicle.
        spawned: gets the sensors.
        vehicle: carries them.
        rig: cameras in base_link.
        vehicle_T_base: where base_link is in the vehicle's own frame.
        with_depth: whether to mount depth cameras too.

    Attributes:
        rig: the cameras as CARLA draws them.
        remarks: how they differ from the rig that was asked for, in words.
        lag_m: furthest that an image was taken from where the vehicle's pose puts its camera.

    Raises:
        CarlaError: the server spawns no more sensors.
    """

    def __init__(
        self,
        world: carla.World,
        spawned: SpawnedActors,
        vehicle: carla.Vehicle,
        rig: Rig,
        vehicle_T_base: RigidTransform,
        with_depth: bool,
    ) -> None:
        self.rig = Rig(
            {
                name: replace(entry, camera=drawn_camera(entry.camera))
                for name, entry in rig.cameras.items()
            }
        )
        texts = (differences(name, rig[name].camera, self.rig[name].camera) for name in rig)
        self.remarks = tuple(text for text in texts if text)
        self.lag_m = 0.0
        self._world, self._spawned, self._vehicle = world, spawned, vehicle
        self._vehicle_T_base = vehicle_T_base
        self._rgb = [self._mount(name, "rgb") for name in rig]
        self._depth = [self._mount(name, "depth") for name in rig] if with_depth else []

    def receive_images(
        self, frame: int, map_T_vehicle: RigidTransform, is_standing: bool, timeout_s: float
    ) -> dict[str, NDArray[np.uint8]]:
        """(height, width, 3) RGB of every camera at one tick, checked.

        Args:
            frame: number of the tick.
            map_T_vehicle: pose of the vehicle at that tick.
            is_standing: whether the vehicle stands, so that every camera must be exactly where
                it was mounted.
            timeout_s: how long to wait for each camera.

        Raises:
            CameraSilentError: a camera did not deliver.
            CarlaError: an image has another size, lens or place than was asked for.
        """
        images = {}
        for sensor in self._rgb:
            image = sensor.mailbox.receive(frame, timeout_s)
            check_image(sensor.name, image, sensor.mounted.camera)
            self.lag_m = max(self.lag_m, _check_place(sensor, image, map_T_vehicle, is_standing))
            images[sensor.name] = rgb_from_carla(image)
        return images

    def receive_depths(self, frame: int, timeout_s: float) -> dict[str, NDArray[np.float32]]:
        """(height, width) metres of every depth camera at one tick; empty without these.

        Raises:
            CameraSilentError: a camera did not deliver.
        """
        return {
            sensor.name: depth_from_carla(sensor.mailbox.receive(frame, timeout_s))
            for sensor in self._depth
        }

    def _mount(self, name: str, kind: str) -> _Sensor:
        mounted = self.rig[name]
        vehicle_T_sensor = self._vehicle_T_base @ mounted.base_T_camera @ OPTICAL_T_BODY
        with server_calls(f"asking for the blueprint of camera {name!r}"):
            library = self._world.get_blueprint_library()
            blueprint = camera_blueprint(library, kind, mounted.camera)
        actor = self._spawned.spawn(blueprint, transform_of(vehicle_T_sensor), self._vehicle)
        if actor is None:
            raise CarlaError(
                f"CARLA spawns no {blueprint.id} for camera {name!r}; its actors may have reached "
                f"their limit: remove those that crashed clients left, or load the town anew"
            )
        mailbox = Mailbox(name if kind == "rgb" else f"{name} ({kind})")
        with server_calls(f"listening to camera {name!r}"):
            actor.listen(mailbox.put)
        return _Sensor(name, mounted, vehicle_T_sensor, mailbox)


def _check_place(
    sensor: _Sensor, image: carla.Image, map_T_vehicle: RigidTransform, is_standing: bool
) -> float:
    """Compares where the server says that an image was taken with where it should have been.

    Returns:
        Metres between the two.
    """
    found = map_T_vehicle.inverse() @ pose_of(image.transform)
    wanted = sensor.vehicle_T_sensor
    distance = float(np.linalg.norm(found.translation - wanted.translation))
    angle = float(np.degrees(found.angle_to(wanted)))
    metres = MOUNTING_TOLERANCE_M if is_standing else LAG_TOLERANCE_M
    degrees = MOUNTING_TOLERANCE_DEG if is_standing else LAG_TOLERANCE_DEG
    if distance > metres or angle > degrees:
        raise CarlaError(
            f"camera {sensor.name!r} is {distance:.3f} m and {angle:.2f} degrees away from where "
            f"it was mounted on the vehicle, as its image of tick {image.frame} says; nothing "
            f"that is computed from this image would be in its place"
        )
    return distance
