# SPDX-License-Identifier: Apache-2.0
"""All that moves or stands on a town's streets, and the ego vehicle among it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import ObjectBox, RigidTransform
from bev_perception.simulation import following
from bev_perception.simulation.crossings import make_crossings
from bev_perception.simulation.fleet_mix import draw_color
from bev_perception.simulation.guard import bodies_to_stop, distances_to_bodies
from bev_perception.simulation.lanes import LaneGraph
from bev_perception.simulation.parked import park_vehicles
from bev_perception.simulation.path_samples import FloatArray
from bev_perception.simulation.pedestrians import BODY_RADIUS, Pedestrians
from bev_perception.simulation.reservations import Reservations
from bev_perception.simulation.scene import CATALOG, ObjectState, WorldState
from bev_perception.simulation.town import Town
from bev_perception.simulation.vehicles import Vehicles, wheel_phase

MAX_SUBSTEP_S = 0.1
FIRST_STAMP_NS = 1_000_000_000
STATE_RANGE = 120.0
"""Metres around the ego vehicle within which objects are reported."""

EGO_REAR_AXLE = 1.35
"""Metres from the middle of the ego vehicle back to its rear axle."""

WALKER_DISTANCE = 0.2
"""Metres by which walkers keep further from vehicles than vehicles must from them."""

_WARM_UP_S = 3.0


class Traffic:
    """Vehicles and pedestrians of one drive through a town.

    Everything follows from the town and the seed: equal seeds and equal steps give equal
    states. No two bodies overlap, the ego vehicle's included.

    Args:
        town: where.
        seed: which drive; the ego vehicle's start and route depend on it.
        vehicles: moving vehicles including the ego vehicle; None suits the town's size.
        pedestrians: None suits the town's size.
        busier: times as many moving vehicles as otherwise, as far as the streets have room.

    Raises:
        ConfigurationError: a negative seed or count, no vehicle at all, or a factor that is not
            positive.
    """

    def __init__(
        self,
        town: Town,
        seed: int,
        vehicles: int | None = None,
        pedestrians: int | None = None,
        busier: float = 1.0,
    ) -> None:
        if seed < 0:
            raise ConfigurationError(f"traffic seed must be 0 or more, got {seed}")
        if (vehicles is not None and vehicles < 1) or (pedestrians is not None and pedestrians < 0):
            raise ConfigurationError(
                f"traffic needs at least 1 vehicle (the ego) and 0 pedestrians or more, "
                f"got {vehicles} and {pedestrians}"
            )
        if not 0.0 < busier < float("inf"):
            raise ConfigurationError(f"traffic needs a positive factor, got {busier}")
        self.town, self.seed = town, int(seed)
        rng = np.random.default_rng((town.seed, self.seed, 21))
        self._graph = LaneGraph(town.network)
        busyness = rng.uniform(0.75, 1.2)
        lane_metres = float(self._graph.lengths[: self._graph.num_lanes].sum())
        kerb_metres = sum(block.kerb.length for block in town.blocks)
        usual = vehicles if vehicles is not None else int(busyness * lane_metres / 70.0)
        num_vehicles = max(1, round(busier * usual))
        num_walkers = pedestrians if pedestrians is not None else int(busyness * kerb_metres / 30.0)
        crossings, by_arm = make_crossings(town.network, town.blocks)
        self._vehicles = Vehicles(self._graph, num_vehicles, rng)
        self._walkers = Pedestrians(town.blocks, crossings, num_walkers, rng)
        self._reservations = Reservations(self._graph, crossings, by_arm)
        self._vehicle_velocity = np.zeros((len(self._vehicles), 2))
        self._walker_velocity = np.zeros((len(self._walkers), 2))
        self._ego_velocity = np.zeros(2)
        self._parked = self._parked_states()
        self._stamp_ns = FIRST_STAMP_NS
        self.step(_WARM_UP_S)
        self._stamp_ns = FIRST_STAMP_NS

    @property
    def stamp_ns(self) -> int:
        """Simulation time, integer nanoseconds."""
        return self._stamp_ns

    def step(self, dt_s: float) -> None:
        """Lets time pass; long steps are divided.

        Raises:
            ConfigurationError: dt_s is not above 0.
        """
        if not dt_s > 0.0:
            raise ConfigurationError(f"a traffic step must be longer than 0 s, got {dt_s}")
        parts = max(1, int(np.ceil(dt_s / MAX_SUBSTEP_S - 1e-9)))
        for _ in range(parts):
            self._substep(dt_s / parts)
        self._stamp_ns += round(dt_s * 1e9)

    def state(self) -> WorldState:
        """Everything within STATE_RANGE of the ego vehicle, at this moment."""
        base = self._ego_base()
        yaw = float(self._vehicles.yaw[0])
        map_T_base = RigidTransform.from_euler(yaw=yaw, translation=(*base, 0.0))
        objects = [*self._moving_states(base), *self._walker_states(base)]
        places, states = self._parked
        near = np.hypot(*(places - base).T) < STATE_RANGE
        objects += [states[k] for k in np.flatnonzero(near)]
        velocity = np.array([*self._ego_velocity, 0.0])
        return WorldState(self._stamp_ns, map_T_base, velocity, tuple(objects))

    def _substep(self, dt_s: float) -> None:
        vehicles, walkers = self._vehicles, self._walkers
        walkers_before, vehicles_before = walkers.center.copy(), vehicles.center.copy()
        base_before = self._ego_base()
        walkers.step(
            dt_s,
            self._reservations.zebra_in_use,
            self._reservations.zebra_urgent,
            self._is_vehicle_between,
        )
        self._move_vehicles(dt_s)
        self._walker_velocity = (walkers.center - walkers_before) / dt_s
        self._vehicle_velocity = (vehicles.center - vehicles_before) / dt_s
        self._ego_velocity = (self._ego_base() - base_before) / dt_s

    def _move_vehicles(self, dt_s: float) -> None:
        vehicles, graph = self._vehicles, self._graph
        current = vehicles.route[:, 0]
        gap, leader = following.gaps_ahead(
            graph, vehicles.route, vehicles.station, vehicles.half_length
        )
        to_line = following.gaps_to_stop_line(
            graph, current, vehicles.station, vehicles.half_length
        )
        first = following.first_on_segments(graph, current, np.lexsort((vehicles.station, current)))
        walkers = self._walkers
        self._reservations.release(vehicles)
        self._reservations.grant(
            vehicles, first, to_line, walkers.on_zebras(), walkers.zebra_wait_s(), dt_s
        )
        speed = self._speeds(gap, leader, to_line, dt_s)
        route, previous, station = vehicles.advanced(speed * dt_s)
        probe = np.where(route < 0, 0, route)
        center, yaw = vehicles.poses(probe, previous, station)
        stopped = bodies_to_stop(
            vehicles.center, vehicles.yaw, center, yaw, vehicles.half_length,
            vehicles.half_width, walkers.center, BODY_RADIUS,
        )  # fmt: skip
        vehicles.stuck_s = np.where(stopped, vehicles.stuck_s + dt_s, 0.0)
        vehicles.speed = np.where(stopped, 0.0, speed)
        vehicles.rolled += vehicles.speed * dt_s
        vehicles.place(
            np.where(stopped[:, None], vehicles.route, route),
            np.where(stopped, vehicles.previous, previous),
            np.where(stopped, vehicles.station, station),
        )

    def _speeds(
        self, gap: FloatArray, leader: NDArray[np.int64], to_line: FloatArray, dt_s: float
    ) -> FloatArray:
        """(N,) metres per second after this step, before bodies are checked."""
        vehicles, graph = self._vehicles, self._graph
        leader_speed = np.where(leader >= 0, vehicles.speed[leader], 0.0)
        tail = following.gaps_to_tails(
            graph, vehicles.route[:, 0], vehicles.previous, vehicles.station, vehicles.half_length
        )
        line = np.where(vehicles.held < 0, to_line, following.FREE)
        standing = np.minimum(tail, line + following.STANDSTILL_GAP - 0.4)
        wanted = np.minimum(
            vehicles.cruise, following.speed_ahead(graph, vehicles.route, vehicles.station)
        )
        change = np.minimum(
            following.acceleration(
                vehicles.speed, wanted, gap, vehicles.speed - leader_speed, vehicles.power
            ),
            following.acceleration(
                vehicles.speed, wanted, standing, vehicles.speed, vehicles.power
            ),
        )
        speed = np.maximum(0.0, vehicles.speed + change * dt_s)
        room = np.minimum(np.minimum(gap - 0.3, tail - 0.3), line)
        return np.minimum(speed, np.maximum(room, 0.0) / dt_s)

    def _is_vehicle_between(self, start: FloatArray, end: FloatArray) -> NDArray[np.bool_]:
        """(M,) whether steps from start (M, 2) to end lead too close to a vehicle."""
        v = self._vehicles
        bodies = v.center, v.yaw, v.half_length, v.half_width
        now = distances_to_bodies(*bodies, start).min(axis=0)
        then = distances_to_bodies(*bodies, end).min(axis=0)
        too_close = (then < BODY_RADIUS + WALKER_DISTANCE) & (then <= now)
        return too_close | (then < BODY_RADIUS)

    def _ego_base(self) -> FloatArray:
        """(2,) point on the ground below the ego vehicle's rear axle."""
        yaw = self._vehicles.yaw[0]
        heading = np.array([np.cos(yaw), np.sin(yaw)])
        return self._vehicles.center[0] - EGO_REAR_AXLE * heading

    def _moving_states(self, base: FloatArray) -> list[ObjectState]:
        v = self._vehicles
        near = np.hypot(*(v.center - base).T) < STATE_RANGE
        phase = wheel_phase(v.rolled)
        return [
            _object_state(
                v.models[k], int(k), v.center[k], 0.0, v.yaw[k], self._vehicle_velocity[k],
                v.colors[k], float(phase[k]),
            )
            for k in np.flatnonzero(near)
            if k != 0
        ]  # fmt: skip

    def _walker_states(self, base: FloatArray) -> list[ObjectState]:
        w, first_id = self._walkers, len(self._vehicles)
        near = np.hypot(*(w.center - base).T) < STATE_RANGE
        return [
            _object_state(
                "pedestrian", first_id + int(k), w.center[k], w.z[k], w.yaw[k],
                self._walker_velocity[k], w.colors[k], float(w.phase[k]),
            )
            for k in np.flatnonzero(near)
        ]  # fmt: skip

    def _parked_states(self) -> tuple[FloatArray, list[ObjectState]]:
        """Centres (P, 2) and states of everything that stands; they never change."""
        parked = park_vehicles(self.town, self.seed, self._graph)
        rng = np.random.default_rng((self.town.seed, self.seed, 22))
        first_id = len(self._vehicles) + len(self._walkers)
        states = [
            _object_state(
                p.model, first_id + k, np.array([p.x, p.y]), p.z, p.yaw, np.zeros(2),
                draw_color(p.model, rng), 0.0,
            )
            for k, p in enumerate(parked)
        ]  # fmt: skip
        return np.array([(p.x, p.y) for p in parked]).reshape(-1, 2), states


def _object_state(
    model: str,
    object_id: int,
    center: FloatArray,
    ground_z: float,
    yaw: float,
    velocity: FloatArray,
    color: tuple[float, float, float],
    phase: float,
) -> ObjectState:
    entry = CATALOG[model]
    z = ground_z + entry.size[2] / 2.0
    pose = RigidTransform.from_euler(yaw=yaw, translation=(*center, z))
    box = ObjectBox(entry.label, object_id, pose, np.array(entry.size), np.array([*velocity, 0.0]))
    return ObjectState(model, box, color, phase)
