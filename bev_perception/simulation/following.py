# SPDX-License-Identifier: Apache-2.0
"""Car following: the gap to whoever is ahead on the same path, and the speed that it allows.

The Intelligent Driver Model of Treiber, Hennecke and Helbing (2000).
"""

from __future__ import annotations

import numpy as np

from bev_perception.simulation.lanes import BRAKING, LaneGraph
from bev_perception.simulation.path_samples import FloatArray, IntArray
from bev_perception.simulation.roads import STOP_LINE

TIME_GAP_S = 1.1
STANDSTILL_GAP = 1.8
COMFORTABLE_BRAKING = 2.0
HARDEST_BRAKING = 7.0
FREE = 1e3
"""Gap where nobody is ahead, metres."""


def gaps_ahead(
    graph: LaneGraph, route: IntArray, station: FloatArray, half_length: FloatArray
) -> tuple[FloatArray, IntArray]:
    """Free metres before every vehicle along its route, and who ends them.

    Args:
        route: (N, 3) the segment of a vehicle's centre and the two after it.
        station: (N,) of the centre on the first of them.
        half_length: (N,).

    Returns:
        (N,) gap from bumper to bumper, FREE if nobody is near; (N,) index of the leader or -1.
    """
    current = route[:, 0]
    order = np.lexsort((station, current))
    ranked = current[order]
    leader = np.full(len(current), -1)
    same = ranked[1:] == ranked[:-1]
    leader[order[:-1][same]] = order[1:][same]
    first = first_on_segments(graph, current, order)
    shift = np.zeros(len(current))
    ahead = graph.lengths[current]
    for k in (1, 2):
        found = np.where(leader < 0, first[route[:, k]], -1)
        shift = np.where(found >= 0, ahead, shift)
        leader = np.where(found >= 0, found, leader)
        ahead = ahead + graph.lengths[route[:, k]]
    gap = shift + station[leader] - half_length[leader] - station - half_length
    return np.where(leader >= 0, gap, FREE), leader


def first_on_segments(graph: LaneGraph, current: IntArray, order: IntArray) -> IntArray:
    """(S,) the vehicle nearest to the start of every segment, or -1.

    Args:
        current: (N,) segment of every vehicle.
        order: vehicles sorted by segment, then by station.
    """
    first = np.full(len(graph.segments), -1)
    first[current[order[::-1]]] = order[::-1]
    return first


def gaps_to_tails(
    graph: LaneGraph,
    segment: IntArray,
    previous: IntArray,
    station: FloatArray,
    half_length: FloatArray,
) -> FloatArray:
    """(N,) free metres to the tails of vehicles that left the same lane another way."""
    tail = np.full(len(graph.segments), FREE)
    leaving = (segment >= graph.num_lanes) & (station < half_length)
    position = graph.lengths[previous] + station - half_length
    np.minimum.at(tail, previous[leaving], position[leaving])
    return tail[segment] - station - half_length


def gaps_to_stop_line(
    graph: LaneGraph, segment: IntArray, station: FloatArray, half_length: FloatArray
) -> FloatArray:
    """(N,) metres from the front to the stop line of the own lane; FREE on connectors."""
    gap = graph.lengths[segment] - STOP_LINE - 0.3 - station - half_length
    return np.where(segment < graph.num_lanes, gap, FREE)


def speed_ahead(graph: LaneGraph, route: IntArray, station: FloatArray) -> FloatArray:
    """(N,) highest comfortable speed here, with what comes next in view."""
    limit = graph.speed_limit(route[:, 0], station)
    ahead = graph.lengths[route[:, 0]] - station
    zero = np.zeros(len(station))
    for k in (1, 2):
        entry = graph.speed_limit(route[:, k], zero)
        limit = np.minimum(limit, np.sqrt(entry**2 + 2.0 * BRAKING * np.maximum(ahead, 0.0)))
        ahead = ahead + graph.lengths[route[:, k]]
    return limit


def acceleration(
    speed: FloatArray, wanted: FloatArray, gap: FloatArray, closing: FloatArray, power: FloatArray
) -> FloatArray:
    """(N,) metres per second squared.

    Args:
        speed, wanted: (N,) metres per second.
        gap: (N,) metres to the leader's tail.
        closing: (N,) own speed less the leader's.
        power: (N,) strongest acceleration of each vehicle.
    """
    braking = speed * closing / (2.0 * np.sqrt(power * COMFORTABLE_BRAKING))
    needed = STANDSTILL_GAP + np.maximum(0.0, speed * TIME_GAP_S + braking)
    free = 1.0 - (speed / np.maximum(wanted, 0.1)) ** 4
    free = np.maximum(free * power, -2.5)
    result = free - power * (needed / np.maximum(gap, 0.1)) ** 2
    return np.clip(result, -HARDEST_BRAKING, power)
