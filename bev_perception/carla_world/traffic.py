# SPDX-License-Identifier: Apache-2.0
"""Other vehicles and people on foot, by number and seed."""

from __future__ import annotations

from typing import Any

import carla
import numpy as np

from bev_perception.carla_world.clock import Clock
from bev_perception.carla_world.faults import server_calls
from bev_perception.carla_world.settings import CarlaSettings
from bev_perception.carla_world.spawned import SpawnedActors

TRIES_PER_WALKER = 3
WALKING_M_S = (0.9, 1.8)
CROSSING_SHARE = 0.2
"""Of the walkers, how many may step onto the road."""


def spawn_vehicles(world: carla.World, spawned: SpawnedActors, settings: CarlaSettings) -> int:
    """Vehicles of random blueprints at random spawn points, driven by the traffic manager.

    Returns:
        How many there was room for.

    Raises:
        CarlaError: the server does not answer.
    """
    if not settings.vehicles:
        return 0
    rng = np.random.default_rng((settings.seed, 2))
    with server_calls("asking for blueprints and spawn points"):
        blueprints = _by_id(world.get_blueprint_library().filter("vehicle.*"))
        points = world.get_map().get_spawn_points()
    count = 0
    for index in rng.permutation(len(points)):
        if count == settings.vehicles:
            break
        blueprint = blueprints[int(rng.integers(len(blueprints)))]
        _choose(blueprint, "color", rng)
        if blueprint.has_attribute("role_name"):
            blueprint.set_attribute("role_name", "autopilot")
        vehicle = spawned.spawn(blueprint, points[int(index)])
        if vehicle is not None:
            with server_calls("handing a vehicle to the traffic manager"):
                vehicle.set_autopilot(True, settings.tm_port)
            count += 1
    return count


def spawn_walkers(
    world: carla.World, spawned: SpawnedActors, clock: Clock, settings: CarlaSettings
) -> int:
    """People who walk from place to place on the pavements.

    Returns:
        How many there was room for; none in a town without a navigation mesh.

    Raises:
        CarlaError: the server does not answer.
    """
    if not settings.walkers:
        return 0
    rng = np.random.default_rng((settings.seed, 3))
    with server_calls("asking for walkers"):
        if hasattr(world, "set_pedestrians_seed"):
            world.set_pedestrians_seed(settings.seed)
        world.set_pedestrians_cross_factor(CROSSING_SHARE)
        library = world.get_blueprint_library()
        blueprints = _by_id(library.filter("walker.pedestrian.*"))
        controller = library.find("controller.ai.walker")
    walkers: list[carla.Actor] = []
    for _ in range(TRIES_PER_WALKER * settings.walkers):
        if len(walkers) == settings.walkers:
            break
        blueprint = blueprints[int(rng.integers(len(blueprints)))]
        if blueprint.has_attribute("is_invincible"):
            blueprint.set_attribute("is_invincible", "false")
        with server_calls("asking for a place for a walker"):
            place = world.get_random_location_from_navigation()
        if place is None:
            break
        walker = spawned.spawn(blueprint, carla.Transform(place, carla.Rotation()))
        if walker is not None:
            walkers.append(walker)
    clock.tick()  # controllers need walkers that the server has placed
    controllers = [spawned.spawn(controller, carla.Transform(), walker) for walker in walkers]
    clock.tick()
    for started in controllers:
        if started is not None:
            _start(world, started, rng)
    return len(walkers)


def _start(world: carla.World, controller: Any, rng: np.random.Generator) -> None:
    with server_calls("starting a walker"):
        controller.start()
        goal = world.get_random_location_from_navigation()
        if goal is not None:
            controller.go_to_location(goal)
        controller.set_max_speed(float(rng.uniform(*WALKING_M_S)))


def _by_id(blueprints: Any) -> list[carla.ActorBlueprint]:
    """In an order that is the same in every session, so that seeds mean the same."""
    return sorted(blueprints, key=lambda entry: entry.id)


def _choose(blueprint: carla.ActorBlueprint, key: str, rng: np.random.Generator) -> None:
    if blueprint.has_attribute(key):
        options = blueprint.get_attribute(key).recommended_values
        if options:
            blueprint.set_attribute(key, options[int(rng.integers(len(options)))])
