# SPDX-License-Identifier: Apache-2.0
"""Moving vehicles on the lane graph, as arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bev_perception.simulation.fleet_mix import MOVING_MIX, Color, draw_color, draw_model
from bev_perception.simulation.lanes import LaneGraph
from bev_perception.simulation.path_samples import FloatArray, IntArray
from bev_perception.simulation.roads import STOP_LINE
from bev_perception.simulation.scene import CATALOG

EGO_MODEL = "sedan"
EGO_EAGERNESS = 2.5
"""The ego vehicle is let through sooner: a recording of standing still teaches little."""

AXLE_SHARE = 0.2872
"""Half the wheelbase over the length; 1.35 m for the ego vehicle's 4.7 m."""

WHEEL_RADIUS = 0.33

_CRUISE = {"bicycle": (4.0, 5.5), "city_bus": (8.0, 10.5), "box_truck": (8.0, 10.5)}
_POWER = {"bicycle": 0.8, "city_bus": 1.0, "box_truck": 1.0, "tipper_truck": 0.9, "motorcycle": 2.2}


class Vehicles:
    """All moving vehicles; index 0 is the ego vehicle.

    A vehicle's two axles are on its path; its body lies on the chord between them, so long
    vehicles cut corners as they should.

    Attributes:
        models, colors: by vehicle.
        route: (N, 3) segment of the centre and the two after it.
        previous: (N,) the segment before.
        station, speed: (N,) metres and metres per second along the path.
        held: (N,) connector (from 0) that is reserved for the vehicle, or -1.
        eagerness: (N,) how fast the waiting of each counts at junctions.
        waited_s: (N,) how long it has been asking for a reservation.
        stuck_s: (N,) how long another body has stopped it.
        center: (N, 2), yaw: (N,) of the body, metres and radians in map.
        rolled: (N,) metres since the start, for wheels.
        half_length, half_width, half_wheelbase, lateral, cruise, power: (N,).
    """

    def __init__(self, graph: LaneGraph, count: int, rng: np.random.Generator) -> None:
        self._graph = graph
        self._rng = rng
        slots = self._slots()
        count = min(count, len(slots))
        self.models = [EGO_MODEL] + [draw_model(MOVING_MIX, rng) for _ in range(count - 1)]
        self.colors: list[Color] = [draw_color(model, rng) for model in self.models]
        sizes = np.array([CATALOG[model].size for model in self.models])
        self.half_length, self.half_width = sizes[:, 0] / 2.0, sizes[:, 1] / 2.0
        self.half_wheelbase = AXLE_SHARE * sizes[:, 0]
        self.cruise = np.array([rng.uniform(*_CRUISE.get(m, (8.5, 12.5))) for m in self.models])
        self.power = np.array([_POWER.get(m, 2.0) for m in self.models])
        self.lateral = np.array([self._drawn_lateral(model) for model in self.models])
        chosen = [slots[k] for k in rng.permutation(len(slots))[:count]]
        self.route = np.array([self._route_from(k, lane) for k, (lane, _) in enumerate(chosen)])
        self.previous = self.route[:, 0].copy()
        self.station = np.array([station for _, station in chosen])
        self.speed = rng.uniform(0.3, 0.8, count) * self.cruise
        self.held = np.full(count, -1)
        self.waited_s = np.zeros(count)
        self.eagerness = np.where(np.arange(count) == 0, EGO_EAGERNESS, 1.0)
        self.stuck_s = np.zeros(count)
        self.rolled = np.zeros(count)
        self.center, self.yaw = self.poses(self.route, self.previous, self.station)

    def __len__(self) -> int:
        return len(self.models)

    def poses(
        self, route: IntArray, previous: IntArray, station: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Centres (N, 2) and headings (N,) of all bodies at places of their paths."""
        front = self._on_path(route, previous, station + self.half_wheelbase)
        rear = self._on_path(route, previous, station - self.half_wheelbase)
        chord = front - rear
        yaw = np.arctan2(chord[:, 1], chord[:, 0])
        side = np.stack([-np.sin(yaw), np.cos(yaw)], axis=-1) * self.lateral[:, None]
        return (front + rear) / 2.0 + side, yaw

    def advanced(self, distance: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
        """Route, previous segment and station after moving; nothing is changed yet.

        The last column of the route is -1 where a new segment is still to be chosen.
        """
        station = self.station + distance
        length = self._graph.lengths[self.route[:, 0]]
        over = station >= length
        shifted = np.column_stack([self.route[:, 1:], np.full(len(station), -1)])
        route = np.where(over[:, None], shifted, self.route)
        previous = np.where(over, self.route[:, 0], self.previous)
        return route, previous, np.where(over, station - length, station)

    def place(self, route: IntArray, previous: IntArray, station: FloatArray) -> None:
        """Takes over a new state and chooses ways on."""
        for k in np.flatnonzero(route[:, 2] < 0):
            route[k, 2] = self._next(int(k), int(route[k, 1]))
        self.route, self.previous, self.station = route, previous, station
        self.center, self.yaw = self.poses(route, previous, station)

    def _on_path(self, route: IntArray, previous: IntArray, station: FloatArray) -> FloatArray:
        lengths = self._graph.lengths
        length = lengths[route[:, 0]]
        segment = np.where(
            station < 0.0, previous, np.where(station > length, route[:, 1], route[:, 0])
        )
        place = np.where(station < 0.0, station + lengths[previous],
                         np.where(station > length, station - length, station))  # fmt: skip
        return self._graph.position(segment, place)

    def _slots(self) -> list[tuple[int, float]]:
        """Places to start from: (lane, station), far enough apart for the longest vehicle."""
        return [
            (lane, float(station))
            for lane in range(self._graph.num_lanes)
            for station in np.arange(9.0, self._graph.lengths[lane] - STOP_LINE - 9.0, 15.0)
        ]

    def _route_from(self, vehicle: int, lane: int) -> list[int]:
        way = self._next(vehicle, lane)
        return [lane, way, self._next(vehicle, way)]

    def _next(self, vehicle: int, segment: int) -> int:
        options = self._graph.segments[segment].successors
        if len(options) == 1:
            return options[0]
        odds = np.array([self._liking(vehicle, option) for option in options])
        return int(self._rng.choice(options, p=odds / odds.sum()))

    def _liking(self, vehicle: int, way: int) -> float:
        turn = self._graph.segments[way].turn
        if abs(turn) < np.radians(35.0):
            return 0.6
        tight = turn < 0.0 and self.half_length[vehicle] > 3.5
        return 0.02 if tight else 0.25 if turn < 0.0 else 0.18

    def _drawn_lateral(self, model: str) -> float:
        if model == "bicycle":
            return float(self._rng.uniform(-1.0, -0.7))
        if model == "motorcycle":
            return float(self._rng.uniform(-0.5, 0.5))
        return float(self._rng.uniform(-0.12, 0.12))


def wheel_phase(rolled: NDArray[np.float64]) -> NDArray[np.float64]:
    """Radians that wheels have turned after metres of way."""
    return np.mod(rolled / WHEEL_RADIUS, 2.0 * np.pi)
