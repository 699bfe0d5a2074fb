# SPDX-License-Identifier: Apache-2.0
"""Who may enter a junction: ways through it are reserved, first come first served.

A vehicle waits at its stop line until no way that crosses its own is reserved, the zebras at
both ends are free of pedestrians, and the lane behind has room for all of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bev_perception.simulation.crossings import Crossing
from bev_perception.simulation.lanes import LaneGraph
from bev_perception.simulation.path_samples import FloatArray, IntArray
from bev_perception.simulation.roads import STOP_LINE
from bev_perception.simulation.vehicles import Vehicles

ASK_MARGIN = 4.0
ASK_BRAKING = 1.8
"""A vehicle asks for its way so early that it could still brake gently to the stop line:
metres, and metres per second squared."""

FAR_PEDESTRIAN = 9.0
"""Metres from the lane from which a pedestrian takes longer than a vehicle to get there."""

CLEAR_OF_ZEBRA = 4.6
"""Metres on the lane behind a junction where a vehicle's tail frees its way."""

LONG_VEHICLE = 6.5
PATIENCE_S = 12.0
PEDESTRIAN_PATIENCE_S = 5.0


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
        asking &= to_stop_line < ASK_MARGIN + vehicles.speed**2 / (2.0 * ASK_BRAKING)
        vehicles.waited_s = np.where(asking, vehicles.waited_s + dt_s * vehicles.eagerness, 0.0)
        self.zebra_urgent[:] = False
        holders = self._holders(vehicles)
        queued: list[int] = []
        for k in self._candidates(vehicles, asking, to_stop_line):
            way = int(vehicles.route[k, 1]) - self._graph.num_lanes
            zebras = [self._zebra_in[way], self._zebra_out[way]]
            here = holders.setdefault(int(self._junction[way]), [])
            if not self._has_room(vehicles, k, way, first, here):
                continue
            patient = bool(vehicles.waited_s[k] > PATIENCE_S)
            if (
                self._blocked(vehicles, k, way, here, queued)
                or self._pedestrians_ahead(way, pedestrians)
                or self._pedestrians_due(way, pedestrian_wait_s, patient)
            ):
                if patient and to_stop_line[k] < 6.0:
                    self.zebra_urgent[zebras] = True
                    queued.append(way)
                continue
            vehicles.held[k] = way
            self.zebra_in_use[zebras] = True
            here.append(k)

    def _candidates(
        self, vehicles: Vehicles, asking: NDArray[np.bool_], to_stop_line: FloatArray
    ) -> list[int]:
        """The foremost asking vehicle of every lane, the longest waiting first."""
        found = np.flatnonzero(asking)
        foremost: dict[int, int] = {}
        for k in found[np.argsort(to_stop_line[found], kind="stable")]:
            foremost.setdefault(int(vehicles.route[k, 0]), int(k))
        return sorted(foremost.values(), key=lambda k: (-vehicles.waited_s[k], k))

    def _holders(self, vehicles: Vehicles) -> dict[int, list[int]]:
        """Vehicles with a reservation, by junction."""
        holders: dict[int, list[int]] = {}
        for k in np.flatnonzero(vehicles.held >= 0):
            holders.setdefault(int(self._junction[vehicles.held[k]]), []).append(int(k))
        return holders

    def _blocked(
        self, vehicles: Vehicles, k: int, way: int, holders: list[int], queued: list[int]
    ) -> bool:
        """Whether a reserved way, or one that a patient vehicle waits for, crosses this one."""
        graph = self._graph
        mine_long = vehicles.half_length[k] * 2.0 > LONG_VEHICLE
        for other in holders:
            taken = int(vehicles.held[other])
            if taken == way:
                continue
            wide = mine_long or vehicles.half_length[other] * 2.0 > LONG_VEHICLE
            clear = graph.wide_clear_stations if wide else graph.clear_stations
            if self._tail(vehicles, other, taken) < clear[taken, way]:
                return True
        return any(graph.clear_stations[taken, way] > 0.0 for taken in queued)

    def _tail(self, vehicles: Vehicles, k: int, way: int) -> float:
        """Station of a vehicle's rear end on its way; below 0 while still before it."""
        segment = vehicles.route[k, 0]
        tail = float(vehicles.station[k] - vehicles.half_length[k])
        if segment == self._lane_in[way]:
            return tail - float(self._graph.lengths[segment])
        if segment == self._lane_out[way]:
            return tail + float(self._graph.lengths[self._graph.num_lanes + way])
        return tail

    def _pedestrians_ahead(
        self, way: int, pedestrians: dict[int, list[tuple[float, float]]]
    ) -> bool:
        """Whether someone on either zebra is in the vehicle's lane or about to be."""
        for zebra, lane in (
            (self._zebra_in[way], self._offset_in[way]),
            (self._zebra_out[way], self._offset_out[way]),
        ):
            for offset, direction in pedestrians.get(int(zebra), ()):
                if -2.4 < (lane - offset) * direction < FAR_PEDESTRIAN:
                    return True
        return False

    def _pedestrians_due(self, way: int, wait_s: FloatArray, patient: bool) -> bool:
        longest = max(wait_s[self._zebra_in[way]], wait_s[self._zebra_out[way]])
        return bool(longest > PEDESTRIAN_PATIENCE_S * (5.0 if patient else 1.0))

    def _has_room(
        self, vehicles: Vehicles, k: int, way: int, first: IntArray, holders: list[int]
    ) -> bool:
        """Whether the lane behind the junction takes the whole vehicle."""
        lane = int(self._lane_out[way])
        needed = 2.0 * vehicles.half_length[k] + 2.0 + STOP_LINE
        for other in holders:
            if self._lane_out[vehicles.held[other]] == lane and vehicles.route[other, 0] != lane:
                needed += 2.0 * vehicles.half_length[other] + 2.0
        last = int(first[lane])
        end = self._graph.lengths[lane] - STOP_LINE
        if last >= 0:
            end = vehicles.station[last] - vehicles.half_length[last]
        return bool(end >= needed)
