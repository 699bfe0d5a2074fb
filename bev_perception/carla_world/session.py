# SPDX-License-Identifier: Apache-2.0
"""A drive on a CARLA server, from the connection to a server that is as it was before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType

import carla
import numpy as np
from numpy.typing import NDArray

from bev_perception.carla_world.base_frame import STANDING_M_S, measure_base
from bev_perception.carla_world.cameras import MOUNTING_TOLERANCE_M, VehicleCameras
from bev_perception.carla_world.carla_set import CarlaSet
from bev_perception.carla_world.clock import (
    Clock,
    OthersClock,
    OwnClock,
    stamp_ns,
    synchronous_settings,
)
from bev_perception.carla_world.connection import connect, enter_town
from bev_perception.carla_world.conversion import pose_of, vector_of
from bev_perception.carla_world.ego import find_ego, spawn_ego
from bev_perception.carla_world.faults import (
    CameraSilentError,
    EgoLostError,
    FrameLeftOutError,
    server_calls,
)
from bev_perception.carla_world.interrupts import interrupts_deferred
from bev_perception.carla_world.parked import parked_vehicles
from bev_perception.carla_world.saved_world import SavedWorld
from bev_perception.carla_world.session_statistics import SessionStatistics
from bev_perception.carla_world.settings import CarlaSettings
from bev_perception.carla_world.spawned import SpawnedActors
from bev_perception.carla_world.traffic import spawn_vehicles, spawn_walkers
from bev_perception.carla_world.truth import GroundTruth
from bev_perception.carla_world.undo import Undo
from bev_perception.carla_world.visibility import visible_shares
from bev_perception.carla_world.weather import weather_of
from bev_perception.errors import CarlaError
from bev_perception.geometry import CameraFrame, FrameSet, ObjectBox, Rig, RigidTransform

CLEAN_UP_TIMEOUT_S = 5.0
"""How long one call of the server may take at the end: a dead one must not hold us up."""

FIRST_IMAGE_TICKS, FIRST_IMAGE_S = 5, 2.0
"""How many ticks cameras may take to begin, and how long to wait for each but the last."""

SKIPS_IN_A_ROW = 20
"""In passive mode, how many sets in a row may be incomplete before that is an error."""


class CarlaSession:
    """An ego vehicle with cameras in a CARLA world, as a context manager.

    Entering it connects, loads the town, spawns everything and lets it come to rest. Leaving
    it, however that happens, removes what was spawned and restores the world's settings.

    Args:
        settings: see there.
        rig: cameras in base_link.

    Attributes:
        rig: the cameras as CARLA draws them; valid inside the context.
        statistics: see SessionStatistics.
        stamp_ns: simulated time of the latest tick.

    Raises (on entering):
        CarlaError: no server, another version, an unknown town, blueprint or weather, no room.
    """

    rig: Rig

    def __init__(self, settings: CarlaSettings, rig: Rig) -> None:
        self._settings, self._wanted_rig = settings, rig
        self.statistics = SessionStatistics()
        self.stamp_ns = 0
        self._undo = Undo()
        self._due_ns: int | None = None

    def __enter__(self) -> CarlaSession:
        try:
            self._start()
        except BaseException:
            self.statistics.remarks += map(str, self._clean_up())
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        problems = self._clean_up()
        self.statistics.remarks += map(str, problems)
        if problems and error is None:
            raise problems[0]

    @property
    def repaired_boxes(self) -> dict[str, int]:
        """Actors whose bounding box was impossible and was replaced by a usual one, by kind."""
        return dict(self._truth.repaired)

    def run(self, num_sets: int | None = None) -> Iterator[CarlaSet]:
        """The next sets of the drive, without end for None; calling again goes on.

        Raises:
            ServerLostError: the server has stopped answering.
            WorldChangedError: another client has loaded or reloaded the world.
            EgoLostError: the ego vehicle has been removed.
            CameraSilentError: a camera has stopped delivering.
        """
        made = in_a_row = 0
        while num_sets is None or made < num_sets:
            snapshot = self._advance_to_set()
            try:
                found = self._make_set(snapshot)
            except FrameLeftOutError:
                in_a_row += 1
                self.statistics.skipped += 1
                if not self._settings.passive or in_a_row > SKIPS_IN_A_ROW:
                    raise
                continue
            made, in_a_row = made + 1, 0
            self.statistics.sets += 1
            yield found

    def _start(self) -> None:
        settings = self._settings
        self._client = connect(settings)
        saved = SavedWorld(self._client)
        self._world = world = enter_town(self._client, settings)
        with server_calls("asking for the world"):
            self._world_id: int = world.id
        self._clock: Clock = OthersClock(world, settings)
        if not settings.passive:
            self._take_over_time(saved)
        if settings.weather:
            weather = weather_of(settings.weather)
            self._undo.add(lambda: saved.restore_weather(self._world_id))
            with server_calls("setting the weather"):
                world.set_weather(weather)
        self._spawned = SpawnedActors(self._client, world)
        self._undo.add(self._remove_actors)
        self._populate()

    def _take_over_time(self, saved: SavedWorld) -> None:
        """Synchronous mode, of the world and of the traffic manager where one is needed."""
        if saved.settings.synchronous_mode:
            self.statistics.remarks.append(
                "the server was in synchronous mode already: another client ticks it (then use "
                "passive mode), or one was killed and has left its vehicles, too (then restart the "
                "server, or load another town)"
            )
        ours = synchronous_settings(self._world, self._settings)
        self._undo.add(lambda: saved.restore_settings(ours, self._world_id))
        with server_calls("setting synchronous mode"):
            self._world.apply_settings(ours)
        self._clock = OwnClock(self._world, self._settings)

    def _populate(self) -> None:
        settings, world, spawned = self._settings, self._world, self._spawned
        parked = parked_vehicles(world)
        if settings.ego_mode == "spawn":
            self._ego = spawn_ego(world, spawned, settings)
        else:
            self._ego = find_ego(world, self._clock, settings)
        self._settle()
        self._vehicle_T_base, remark = measure_base(self._ego)
        self._cameras = VehicleCameras(
            world, spawned, self._ego, self._wanted_rig, self._vehicle_T_base, settings.visibility
        )
        self.rig = self._cameras.rig
        self._truth = GroundTruth(world, self._ego.id, parked)
        self.statistics.parked = len(parked)
        self.statistics.remarks += [text for text in (remark, *self._cameras.remarks) if text]
        self._check_cameras()
        self._start_traffic()

    def _check_cameras(self) -> None:
        """Waits for the first images: some servers begin a few ticks after the spawning."""
        for attempt in range(FIRST_IMAGE_TICKS):
            snapshot = self._clock.tick()
            is_last = attempt == FIRST_IMAGE_TICKS - 1
            timeout_s = self._settings.sensor_timeout_s
            try:
                self._receive(snapshot, timeout_s if is_last else min(timeout_s, FIRST_IMAGE_S))
                return
            except CameraSilentError:
                if is_last:
                    raise

    def _start_traffic(self) -> None:
        settings, statistics = self._settings, self.statistics
        drives = settings.autopilot and settings.ego_mode == "spawn"
        if drives or settings.vehicles:
            with server_calls("starting the traffic manager"):
                manager = self._client.get_trafficmanager(settings.tm_port)
                manager.set_random_device_seed(settings.seed)
                if not settings.passive:
                    self._undo.add(lambda: self._release_traffic(manager))
                    manager.set_synchronous_mode(True)
        if drives:
            with server_calls("handing the ego vehicle to the traffic manager"):
                self._ego.set_autopilot(True, settings.tm_port)
        statistics.vehicles = spawn_vehicles(self._world, self._spawned, settings)
        statistics.walkers = spawn_walkers(self._world, self._spawned, self._clock, settings)
        for name in ("vehicles", "walkers"):
            wanted, found = getattr(settings, name), getattr(statistics, name)
            if found < wanted:
                statistics.remarks.append(f"there was room for {found} of {wanted} {name}")

    def _settle(self) -> None:
        """Vehicles are spawned above the ground and fall on their wheels."""
        first = stamp_ns(self._clock.tick())
        while stamp_ns(self._clock.tick()) - first < self._settings.settle_s * 1e9:
            continue

    def _advance_to_set(self) -> carla.WorldSnapshot:
        settings = self._settings
        if not settings.passive:
            for _ in range(settings.ticks_per_set):
                snapshot = self._clock.tick()
        else:
            snapshot = self._clock.tick()
            while self._due_ns is not None and stamp_ns(snapshot) < self._due_ns:
                snapshot = self._clock.tick()
            period_ns = round(1e9 / settings.rate_hz)
            late_ns = 0 if self._due_ns is None else stamp_ns(snapshot) - self._due_ns
            self._due_ns = stamp_ns(snapshot) + period_ns - min(late_ns, period_ns // 2)
        self.stamp_ns = stamp_ns(snapshot)
        return snapshot

    def _receive(
        self, snapshot: carla.WorldSnapshot, timeout_s: float
    ) -> tuple[dict[str, NDArray[np.uint8]], RigidTransform]:
        """Images of a tick, and map_T_base at it."""
        ego = snapshot.find(self._ego.id)
        if ego is None:
            raise EgoLostError(
                f"the ego vehicle ({self._ego.type_id}, actor {self._ego.id}) is no more: another "
                f"client has removed it"
            )
        map_T_vehicle = pose_of(ego.get_transform())
        is_standing = bool(np.linalg.norm(vector_of(ego.get_velocity())) <= STANDING_M_S)
        cameras, had_lag = self._cameras, self._cameras.lag_m > MOUNTING_TOLERANCE_M
        images = cameras.receive_images(snapshot.frame, map_T_vehicle, is_standing, timeout_s)
        if cameras.lag_m > MOUNTING_TOLERANCE_M and not had_lag:
            self.statistics.remarks.append(
                f"images are taken {cameras.lag_m:.2f} m away from where the vehicle's pose puts "
                f"the cameras while it drives: this server's images and poses are not of one moment"
            )
        return images, map_T_vehicle @ self._vehicle_T_base

    def _make_set(self, snapshot: carla.WorldSnapshot) -> CarlaSet:
        images, map_T_base = self._receive(snapshot, self._settings.sensor_timeout_s)
        frames = {name: CameraFrame(name, self.stamp_ns, image) for name, image in images.items()}
        objects = self._labels(snapshot, map_T_base)
        return CarlaSet(FrameSet(self.stamp_ns, frames, (), map_T_base), objects, snapshot.frame)

    def _labels(
        self, snapshot: carla.WorldSnapshot, map_T_base: RigidTransform
    ) -> tuple[ObjectBox, ...]:
        objects = self._truth.objects(snapshot, map_T_base)
        depths = self._cameras.receive_depths(snapshot.frame, self._settings.sensor_timeout_s)
        if not depths:
            return objects
        shares = visible_shares(self.rig, depths, objects)
        return tuple(
            replace(box, visibility=float(share))
            for box, share in zip(objects, shares, strict=True)
        )

    def _remove_actors(self) -> None:
        """Not in another world: there, the same ids are actors of other clients."""
        with server_calls("asking for the world"):
            is_same = self._client.get_world().id == self._world_id
        if is_same:
            self._spawned.destroy_all()

    def _release_traffic(self, manager: carla.TrafficManager) -> None:
        with server_calls("releasing the traffic manager"):
            manager.set_synchronous_mode(False)

    def _clean_up(self) -> list[CarlaError]:
        with interrupts_deferred():
            if hasattr(self, "_client"):
                self._client.set_timeout(CLEAN_UP_TIMEOUT_S)
            return self._undo.run()
