# SPDX-License-Identifier: Apache-2.0
"""Who may enter a junction: ways through it are reserved, first come first served.

A vehicle waits at its stop line until no way that crosses its own is reserved, the zebras at
both ends are free of pedestrians, and the lane behind has room for all of it.
"""

from __future__ import annotations

import numpy as np

from bev_perception.simulation.crossings import Crossing
from bev_perception.simulation.lanes import LaneGraph
from bev_perception.simulation.path_samples import FloatArray, IntArray
from bev_perception.simulation.roads import STOP_LINE
from bev_perception.simulation.vehicles import Vehicles

ASK_DISTANCE = 32.0
"""Metres before the stop line where a vehicle asks for its way."""

CLEAR_OF_ZEBRA = 4.6
"""Metres on the lane behind a junction where a vehicle's tail frees its way."""

LONG_VEHICLE = 6.5
PATIENCE_S = 12.0
PEDESTRIAN_PATIENCE_S = 4.0


class Reservations:
    """Keeps the ways that are taken.

    Args:
        graph: lanes and connectors.
        crossings, by_arm: zebras, and their index by junction and arm.

    Attributes:
        zebra_in_use: (Z,) whether a vehicle with a reservation still has to pass it.
        zebra_urgent: (Z,) whether a vehicle has waited there so long that pedestrians let it go.
    """

    def __init__(
        self,
        graph: LaneGraph,
        crossings: tuple[Crossing, ...],
        by_arm: dict[tuple[int, int], int],
    ) -> None:
        self._graph = graph
        connectors = graph.segments[graph.num_lanes :]
        self._zebra_in = np.array([by_arm[c.junction, c.arm_in] for c in connectors])
        self._zebra_out = np.array([by_arm[c.junction, c.arm_out] for c in connectors])
        self._offset_in = np.array([c.offset_in for c in connectors])
        self._offset_out = np.array([c.offset_out for c in connectors])
        self._lane_out = np.array([c.successors[0] for c in connectors])
        self._lane_in = np.array([c.predecessor for c in connectors])
        self._junction = np.array([c.junction for c in connectors])
        self.zebra_in_use = np.zeros(len(crossings), dtype=bool)
        self.zebra_urgent = np.zeros(len(crossings), dtype=bool)

    def release(self, vehicles: Vehicles) -> None:
        """Frees the ways of vehicles that have left their junction, and updates zebras."""
        held = vehicles.held
        behind = vehicles.route[:, 0] == self._lane_out[held]
        clear = vehicles.station - vehicles.half_length > CLEAR_OF_ZEBRA
        held[(held >= 0) & behind & clear] = -1
        holders = np.flatnonzero(held >= 0)
        ways = held[holders]
        self.zebra_in_use[:] = False
        self.zebra_in_use[self._zebra_out[ways]] = True
        before = vehicles.route[holders, 0] == self._lane_in[ways]
        tail_before = before | (vehicles.station[holders] < vehicles.half_length[holders] + 1.0)
        tail_before &= vehicles.route[holders, 0] != self._lane_out[ways]
        self.zebra_in_use[self._zebra_in[ways[tail_before]]] = True

    def grant(
        self,
        vehicles: Vehicles,
        first: IntArray,
        to_stop_line: FloatArray,
        pedestrians: dict[int, list[tuple[float, float]]],
        pedestrian_wait_s: FloatArray,
        dt_s: float,
    ) -> None:
        """Gives ways to vehicles that ask, the longest waiting first.

        Args:
            first: (S,) first vehicle of every segment, or -1.
            to_stop_line: (N,) metres.
            pedestrians: by zebra, (metres left of the way out, direction +1 or -1) of everyone
                on it.
            pedestrian_wait_s: (Z,) how long somebody has been waiting to cross.
        """
        asking = (vehicles.held < 0) & (vehicles.route[:, 0] < self._graph.num_lanes)
        asking &= to_stop_line < ASK_DISTANCE
        vehicles.waited_s[asking] += dt_s
        vehicles.waited_s[~asking] = 0.0
        self.zebra_urgent[:] = False
        candidates = np.flatnonzero(asking)
        order = np.lexsort((to_stop_line[candidates], -vehicles.waited_s[candidates]))
        nearest: dict[int, float] = {}
        for k in candidates:
            lane = int(vehicles.route[k, 0])
            nearest[lane] = min(nearest.get(lane, np.inf), to_stop_line[k])
        queued: list[int] = []
        for k in candidates[order]:
            way = int(vehicles.route[k, 1]) - self._graph.num_lanes
            if to_stop_line[k] > nearest[int(vehicles.route[k, 0])]:
                continue
            blocked = self._blocked(vehicles, int(k), way, queued)
            on_zebra = self._pedestrians_ahead(way, pedestrians)
            if not blocked and not on_zebra and not self._pedestrians_due(
                way, pedestrian_wait_s, vehicles.waited_s[k]
            ) and self._has_room(vehicles, int(k), way, first):
                vehicles.held[k] = way
                self.zebra_in_use[[self._zebra_in[way], self._zebra_out[way]]] = True
                continue
            if vehicles.waited_s[k] > PATIENCE_S and to_stop_line[k] < 6.0:
                self.zebra_urgent[[self._zebra_in[way], self._zebra_out[way]]] = True
                if self._has_room(vehicles, int(k), way, first):
                    queued.append(way)

    def _blocked(self, vehicles: Vehicles, k: int, way: int, queued: list[int]) -> bool:
        """Whether a reserved way, or one that a patient vehicle waits for, crosses this one."""
        mine_long = vehicles.half_length[k] * 2.0 > LONG_VEHICLE
        for other in np.flatnonzero(vehicles.held >= 0):
            taken = int(vehicles.held[other])
            if self._junction[taken] != self._junction[way] or taken == way:
                continue
            wide = mine_long or vehicles.half_length[other] * 2.0 > LONG_VEHICLE
            matrix = self._graph.wide_conflicts if wide else self._graph.conflicts
            if matrix[taken, way]:
                return True
        return any(self._graph.conflicts[taken, way] for taken in queued if taken != way)

    def _pedestrians_ahead(
        self, way: int, pedestrians: dict[int, list[tuple[float, float]]]
    ) -> bool:
        """Whether someone on either zebra has yet to clear the vehicle's lane."""
        for zebra, lane in (
            (self._zebra_in[way], self._offset_in[way]),
            (self._zebra_out[way], self._offset_out[way]),
        ):
            for offset, direction in pedestrians.get(int(zebra), ()):
                if (lane - offset) * direction > -2.4:
                    return True
        return False

    def _pedestrians_due(self, way: int, wait_s: FloatArray, own_wait_s: float) -> bool:
        longest = max(wait_s[self._zebra_in[way]], wait_s[self._zebra_out[way]])
        return bool(longest > PEDESTRIAN_PATIENCE_S and own_wait_s < PATIENCE_S)

    def _has_room(self, vehicles: Vehicles, k: int, way: int, first: IntArray) -> bool:
        """Whether the lane behind the junction takes the whole vehicle."""
        lane = int(self._lane_out[way])
        needed = 2.0 * vehicles.half_length[k] + 2.0 + STOP_LINE
        for other in np.flatnonzero(vehicles.held >= 0):
            if self._lane_out[vehicles.held[other]] == lane and vehicles.route[other, 0] != lane:
                needed += 2.0 * vehicles.half_length[other] + 2.0
        last = int(first[lane])
        end = self._graph.lengths[lane] - STOP_LINE
        if last >= 0:
            end = vehicles.station[last] - vehicles.half_length[last]
        return bool(end >= needed)
