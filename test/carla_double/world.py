# SPDX-License-Identifier: Apache-2.0
"""Doubles of carla.World, carla.Map and carla.EnvironmentObject."""

from __future__ import annotations

from typing import Any

import carla

from carla_double.actors import FakeActor, FakeActorList
from carla_double.blueprints import FakeActorBlueprint, FakeBlueprintLibrary
from carla_double.server import CarlaDouble
from carla_double.snapshots import FakeWorldSnapshot


class FakeEnvironmentObject:
    """carla.EnvironmentObject."""

    def __init__(self, box: carla.BoundingBox) -> None:
        self._box = box

    @property
    def bounding_box(self) -> carla.BoundingBox:
        return self._box


class FakeMap:
    """carla.Map."""

    def __init__(self, server: CarlaDouble) -> None:
        self._server = server

    @property
    def name(self) -> str:
        return self._server.loaded

    def get_spawn_points(self) -> list[carla.Transform]:
        return self._server.town.spawn_transforms


class FakeWorld:
    """carla.World: of one episode, of no use once another world has been loaded."""

    def __init__(self, server: CarlaDouble) -> None:
        self._server, self._id = server, server.world_id

    @property
    def id(self) -> int:
        return self._id

    def get_settings(self) -> carla.WorldSettings:
        self._answer()
        return _copy(self._server.settings)

    def apply_settings(self, settings: carla.WorldSettings, seconds: float = 0.0) -> int:
        self._answer()
        self._server.settings = _copy(settings)
        return self._server.frame

    def get_weather(self) -> carla.WeatherParameters:
        self._answer()
        return self._server.weather

    def set_weather(self, weather: carla.WeatherParameters) -> None:
        self._answer()
        self._server.weather = weather

    def get_map(self) -> FakeMap:
        self._answer()
        return FakeMap(self._server)

    def get_blueprint_library(self) -> FakeBlueprintLibrary:
        self._answer()
        return FakeBlueprintLibrary()

    def get_actors(self, actor_ids: list[int] | None = None) -> FakeActorList:
        self._answer()
        actors = self._server.actors
        chosen = list(actors) if actor_ids is None else [k for k in actor_ids if k in actors]
        return FakeActorList([actors[k] for k in chosen])

    def try_spawn_actor(
        self,
        blueprint: FakeActorBlueprint,
        transform: carla.Transform,
        attach_to: FakeActor | None = None,
        attachment_type: Any = carla.AttachmentType.Rigid,
    ) -> FakeActor | None:
        self._answer()
        return self._server.spawn(blueprint, transform, attach_to)

    def get_environment_objects(
        self, object_type: Any = carla.CityObjectLabel.Any
    ) -> list[FakeEnvironmentObject]:
        self._answer()
        return [FakeEnvironmentObject(box) for box in self._server.town.parked(str(object_type))]

    def get_random_location_from_navigation(self) -> carla.Location | None:
        self._answer()
        return self._server.walker_place()

    def set_pedestrians_seed(self, seed: int) -> None:
        self._answer()

    def set_pedestrians_cross_factor(self, percentage: float) -> None:
        self._answer()
        assert 0.0 <= percentage <= 1.0

    def tick(self, seconds: float = 0.0) -> int:
        self._answer()
        frame = self._server.tick()
        self._answer()
        return frame

    def wait_for_tick(self, seconds: float = 0.0) -> FakeWorldSnapshot:
        self._answer()
        if not self._server.ticked_by_others:
            raise RuntimeError(
                f"time-out of {seconds * 1000:.0f}ms while waiting for the simulator, make sure "
                f"the simulator is ready and connected to localhost:2000"
            )
        self._server.tick()
        self._answer()
        return self._server.snapshot

    def get_snapshot(self) -> FakeWorldSnapshot:
        self._answer()
        return self._server.snapshot

    def _answer(self) -> None:
        self._server.answer()
        if self._id != self._server.world_id:
            raise RuntimeError(
                "trying to access an expired episode; a new episode was started in the "
                "simulation but an object tried accessing the old one."
            )


def _copy(settings: carla.WorldSettings) -> carla.WorldSettings:
    made = carla.WorldSettings()
    for name in (
        "synchronous_mode",
        "no_rendering_mode",
        "fixed_delta_seconds",
        "substepping",
        "max_substep_delta_time",
        "max_substeps",
        "max_culling_distance",
        "deterministic_ragdolls",
        "tile_stream_distance",
        "actor_active_distance",
        "spectator_as_ego",
    ):
        setattr(made, name, getattr(settings, name))
    return made
