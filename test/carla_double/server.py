# SPDX-License-Identifier: Apache-2.0
"""The double of a CARLA server: a world that is ticked, and everything that goes wrong with one."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import carla
import numpy as np

from carla_double.actors import FakeActor, FakeSensor, kind_of
from carla_double.blueprints import FakeActorBlueprint
from carla_double.images import Cameras, Eye, FakeImage
from carla_double.left_handed import location, matrix_of, transform_of
from carla_double.snapshots import FakeActorSnapshot, FakeWorldSnapshot
from carla_double.town import TYPES, TownActors

FREE_RUNNING_S = 0.05
FIRST_FRAME = 1200


@dataclass
class Faults:
    """What goes wrong; frames are counted from the double's first tick, which is 1.

    Attributes:
        dead_from: tick from which nothing is answered any more; 0 from now on.
        hang_s: how long a call takes until it is given up as unanswered.
        silent: (camera, tick): number of a sensor in the order of spawning, and the tick from
            which it delivers nothing.
        left_out: (camera, tick): one image that never comes, while later ones do.
        slow: (tick, seconds): a tick that takes long.
        reload_at: tick at which another client loads the world anew.
        ego_gone_at: tick at which another client removes the ego vehicle.
        interrupt_at: tick during which the user presses Ctrl-C.
        other_ticks: ticks that another client adds to each of ours.
        actor_limit: most actors that there may be.
        spawn_fails_at: number of the spawning call that is answered by an error.
        sensor_shift: (4, 4) by which sensors are mounted wrongly.
        image_lag: images are taken one tick before the poses that are told.
        wheel_unit: per metre; 100 is CARLA's, 0 leaves all wheels at the origin.
    """

    dead_from: int | None = None
    hang_s: float = 0.02
    silent: tuple[int, int] | None = None
    left_out: tuple[int, int] | None = None
    slow: tuple[int, float] | None = None
    reload_at: int | None = None
    ego_gone_at: int | None = None
    interrupt_at: int | None = None
    other_ticks: int = 0
    actor_limit: int = 10_000
    spawn_fails_at: int | None = None
    sensor_shift: np.ndarray | None = None
    image_lag: bool = False
    wheel_unit: float = 100.0


@dataclass
class _Log:
    unanswered: int = 0
    spawn_calls: int = 0


@dataclass
class CarlaDouble:
    """A server that clients reach through carla_double.installed.

    Attributes:
        draw: render images; False sends grey ones at once.
        version: of the server.
        town_seed, tilt_rad: see TownActors.
        faults: see there.
        ticked_by_others: another client ticks: wait_for_tick returns.
        always_driving: the ego vehicle drives without anybody's autopilot.
        settings, weather: of the world.
        actors: by id.
        autopilots: traffic manager's port by vehicle id.
        synchronous_managers: ports of traffic managers that are in synchronous mode.
        violations: what a real server would not have forgiven.
    """

    draw: bool = False
    version: str = field(default_factory=lambda: carla.Client("localhost").get_client_version())
    town_seed: int = 3
    tilt_rad: tuple[float, float] = (0.0, 0.0)
    faults: Faults = field(default_factory=Faults)
    ticked_by_others: bool = False
    always_driving: bool = False
    maps: tuple[str, ...] = ("/Game/Carla/Maps/Town01", "/Game/Carla/Maps/Town10HD_Opt")
    loaded: str = "Carla/Maps/Town10HD_Opt"

    def __post_init__(self) -> None:
        self.settings, self.weather = carla.WorldSettings(), carla.WeatherParameters.CloudyNoon
        self.town = TownActors(self.town_seed, self.tilt_rad)
        self.cameras = Cameras(self.town, self.draw)
        self.actors: dict[int, FakeActor] = {}
        self.autopilots: dict[int, int] = {}
        self.synchronous_managers: set[int] = set()
        self.violations: list[str] = []
        self.sensors: list[FakeSensor] = []
        self.log = _Log()
        self.world_id, self.ticks, self.elapsed_s = 7, 0, 12.5
        self.on_tick: Callable[[int], None] = lambda tick: None
        self._next_id = 100
        self._traffic: dict[int, int | None] = {}
        self._places: dict[int, carla.Transform] = {}
        self._take_snapshot()

    def answer(self) -> None:
        """Raises as the carla package does when a server does not answer."""
        dead_from = self.faults.dead_from
        if dead_from is not None and self.ticks >= dead_from:
            self.log.unanswered += 1
            time.sleep(self.faults.hang_s)
            raise RuntimeError(
                "time-out of 2000ms while waiting for the simulator, make sure the simulator is "
                "ready and connected to localhost:2000"
            )

    @property
    def ego(self) -> FakeActor | None:
        """The vehicle that was spawned first, while it lives."""
        return next((self.actors[k] for k, v in self._traffic.items() if v is None), None)

    @property
    def is_driving(self) -> bool:
        """Whether somebody drives the ego vehicle; the whole town waits for it."""
        ego = self.ego
        return self.always_driving or (ego is not None and ego.id in self.autopilots)

    def tick(self) -> int:
        """Time passes, everybody moves, every camera that is listened to sends its image."""
        self.answer()
        self.ticks += 1 + self.faults.other_ticks
        if self.faults.slow is not None and self.faults.slow[0] == self.ticks:
            time.sleep(self.faults.slow[1])
        self._what_others_do()
        self.answer()
        dt_s = self.settings.fixed_delta_seconds or FREE_RUNNING_S
        self.elapsed_s += dt_s * (1 + self.faults.other_ticks)
        if self.is_driving:
            self.town.step(dt_s)
        self._move()
        self._take_snapshot()
        self._send_images()
        self.on_tick(self.ticks)
        return self.frame

    @property
    def frame(self) -> int:
        """CARLA's number of the tick."""
        return FIRST_FRAME + self.ticks

    def spawn(
        self, blueprint: FakeActorBlueprint, transform: carla.Transform, parent: FakeActor | None
    ) -> FakeActor | None:
        """A new actor, None where there is no room."""
        self.answer()
        self.log.spawn_calls += 1
        if self.log.spawn_calls == self.faults.spawn_fails_at:
            raise RuntimeError("Spawn failed because of internal error")
        if len(self.actors) >= self.faults.actor_limit:
            return None
        type_id, attributes, traffic_id = blueprint.id, blueprint._attributes(), None
        if parent is None:
            is_taken, traffic_id = self._next_of_town(type_id)
            if is_taken:
                return None
        body = None if traffic_id is None else self.town.body(traffic_id)
        if body is not None:
            type_id = TYPES[body.model]
            attributes = {**FakeActorBlueprint(type_id)._attributes(), **_kept(attributes)}
        self._next_id += 1
        if parent is not None and self.faults.sensor_shift is not None:
            transform = transform_of(matrix_of(transform) @ self.faults.sensor_shift)
        actor = kind_of(type_id)(self, self._next_id, type_id, attributes, transform, parent)
        self.actors[actor.id] = actor
        if parent is None:
            self._traffic[actor.id] = traffic_id
            if traffic_id is not None:
                self.town.shown.add(traffic_id)
        if isinstance(actor, FakeSensor):
            self.sensors.append(actor)
        self._move()
        return actor

    def destroy(self, actor_id: int) -> bool:
        """Removes an actor; False where there is none."""
        actor = self.actors.pop(actor_id, None)
        if actor is None:
            return False
        traffic_id = self._traffic.pop(actor_id, None)
        self.town.shown.discard(-1 if traffic_id is None else traffic_id)
        actor._end()
        return True

    def load(self, name: str | None = None, reset_settings: bool = True) -> None:
        """A new world, without actors."""
        if name is not None:
            self.loaded = name.removeprefix("/Game/")
        for actor in self.actors.values():
            if isinstance(actor, FakeSensor):
                actor._hang_up()
            actor._end()
        self.actors.clear()
        self._traffic.clear()
        self.sensors.clear()
        self.world_id += 1
        if reset_settings:
            self.settings = carla.WorldSettings()
        self._take_snapshot()

    def wheels_of(self, vehicle: FakeActor) -> list[carla.WheelPhysicsControl]:
        """Only the ego vehicle's are asked for."""
        wheels = self.town.ego_wheels()
        for wheel in wheels:
            wheel.position = wheel.position * (self.faults.wheel_unit / 100.0)
        return wheels

    def walker_place(self) -> carla.Location | None:
        """Where the next walker may be spawned."""
        free = self._free(self.town.walker_ids)
        body = None if free is None else self.town.body(free)
        return None if body is None else location(body.matrix[:3, 3] * (1.0, -1.0, 1.0))

    def close(self) -> None:
        """Frees the renderer."""
        self.cameras.close()

    def _next_of_town(self, type_id: str) -> tuple[bool, int | None]:
        """(nobody is left, id in the town's traffic); the ego vehicle has none."""
        if type_id.startswith("vehicle.") and None not in self._traffic.values():
            return False, None
        is_walker = type_id.startswith("walker.")
        free = self._free(self.town.walker_ids if is_walker else self.town.vehicle_ids)
        return free is None, free

    def _free(self, ids: list[int]) -> int | None:
        """The first of the town's vehicles or people that is near and nobody's actor yet."""
        used = set(self._traffic.values())
        return next((k for k in ids if k not in used and self.town.body(k) is not None), None)

    def _what_others_do(self) -> None:
        faults = self.faults
        if faults.interrupt_at is not None and self.ticks == faults.interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)
        if faults.ego_gone_at is not None and self.ticks == faults.ego_gone_at:
            ego = self.ego
            assert ego is not None
            self.destroy(ego.id)
        if faults.reload_at is not None and self.ticks == faults.reload_at:
            self.load(reset_settings=False)

    def _move(self) -> None:
        for actor_id, traffic_id in self._traffic.items():
            actor = self.actors[actor_id]
            body = self.town.ego_body() if traffic_id is None else self.town.body(traffic_id)
            if body is not None:
                actor._matrix, actor._box = body.matrix, body.box
                actor._velocity = body.velocity if self.is_driving else carla.Vector3D()

    def _take_snapshot(self) -> None:
        timestamp = carla.Timestamp(self.frame, self.elapsed_s, 0.0, time.time())
        entries = [
            FakeActorSnapshot(actor.id, actor.get_transform(), actor.get_velocity())
            for actor in self.actors.values()
        ]
        self.snapshot = FakeWorldSnapshot(timestamp, entries)

    def _send_images(self) -> None:
        if self.settings.no_rendering_mode:
            return
        listening = [sensor for sensor in self.sensors if sensor.is_listening()]
        seen = self.cameras.look([_eye(sensor) for sensor in listening])
        for sensor in listening:
            if self._is_missing(self.sensors.index(sensor)):
                continue
            fov = float(np.float32(sensor.attributes["fov"]))
            place = self._place_of(sensor)
            image = FakeImage(self.frame, self.elapsed_s, place, fov, seen[sensor.id])
            sensor._send(image)

    def _place_of(self, sensor: FakeSensor) -> carla.Transform:
        now, before = sensor.get_transform(), self._places.get(sensor.id)
        self._places[sensor.id] = now
        return before if self.faults.image_lag and before is not None else now

    def _is_missing(self, number: int) -> bool:
        silent, left_out = self.faults.silent, self.faults.left_out
        if silent is not None and silent[0] == number and self.ticks >= silent[1]:
            return True
        return left_out is not None and left_out == (number, self.ticks)


def _eye(sensor: FakeSensor) -> Eye:
    values = sensor.attributes
    return Eye(
        sensor.id,
        sensor.type_id.rsplit(".", 1)[-1],
        int(values["image_size_x"]),
        int(values["image_size_y"]),
        float(values["fov"]),
        tuple(tuple(float(value) for value in row) for row in sensor._matrix),
    )


def _kept(attributes: dict[str, str]) -> dict[str, str]:
    """What a client has set itself: the town decides what kind of vehicle it is."""
    return {key: attributes[key] for key in ("role_name", "color") if key in attributes}
