# SPDX-License-Identifier: Apache-2.0
"""The ego vehicle: spawned, or one that another client drives."""

from __future__ import annotations

import time

import carla
import numpy as np

from bev_perception.carla_world.clock import Clock
from bev_perception.carla_world.faults import server_calls
from bev_perception.carla_world.settings import CarlaSettings
from bev_perception.carla_world.spawned import SpawnedActors
from bev_perception.errors import CarlaError


def spawn_ego(world: carla.World, spawned: SpawnedActors, settings: CarlaSettings) -> carla.Vehicle:
    """A vehicle of the settings' blueprint at the settings' spawn point, or one by the seed.

    Raises:
        CarlaError: no such blueprint or spawn point, or no room anywhere.
    """
    with server_calls("asking for blueprints and spawn points"):
        blueprint = _blueprint(world.get_blueprint_library(), settings.ego_blueprint)
        points = world.get_map().get_spawn_points()
    if blueprint.has_attribute("role_name"):
        blueprint.set_attribute("role_name", settings.role_name)
    for index in _order(len(points), settings):
        vehicle = spawned.spawn(blueprint, points[index])
        if vehicle is not None:
            return vehicle
    where = "any of the town's" if settings.spawn_point < 0 else f"number {settings.spawn_point} of"
    raise CarlaError(
        f"no room for the ego vehicle ({settings.ego_blueprint}) at {where} {len(points)} spawn "
        f"points; other clients' vehicles stand there: remove them, or choose another spawn_point"
    )


def find_ego(world: carla.World, clock: Clock, settings: CarlaSettings) -> carla.Vehicle:
    """The vehicle of another client that has the settings' role name.

    Raises:
        CarlaError: none appears within timeout_s; the message names the role names there are.
    """
    deadline = time.monotonic() + settings.timeout_s
    while True:
        with server_calls("looking for the ego vehicle"):
            roles = {
                vehicle.attributes.get("role_name", ""): vehicle
                for vehicle in world.get_actors().filter("vehicle.*")
            }
        if settings.role_name in roles:
            return roles[settings.role_name]
        if time.monotonic() > deadline:
            break
        clock.tick()
    raise CarlaError(
        f"no vehicle with role_name {settings.role_name!r} has appeared within "
        f"{settings.timeout_s:g} s; there are: {', '.join(sorted(roles)) or 'no vehicles'}. Spawn "
        f"it first, set role_name, or set ego_mode to spawn"
    )


def _blueprint(library: carla.BlueprintLibrary, name: str) -> carla.ActorBlueprint:
    try:
        return library.find(name)
    except IndexError:
        known = sorted(entry.id for entry in library.filter("vehicle.*"))
        raise CarlaError(
            f"this CARLA server has no blueprint {name!r}; its vehicles are {', '.join(known)}"
        ) from None


def _order(count: int, settings: CarlaSettings) -> list[int]:
    """Indices of spawn points in the order in which they are tried."""
    if settings.spawn_point < 0:
        return [int(k) for k in np.random.default_rng((settings.seed, 1)).permutation(count)]
    if settings.spawn_point >= count:
        raise CarlaError(
            f"spawn_point is {settings.spawn_point} and the town has {count}, counted from 0"
        )
    return [settings.spawn_point]
