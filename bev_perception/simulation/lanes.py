# SPDX-License-Identifier: Apache-2.0
"""The lane graph: lanes along roads, connectors through junctions, who crosses whom."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.distance import cdist

from bev_perception.simulation.curves import Curve, rounded_corner
from bev_perception.simulation.path_samples import FloatArray, IntArray, PathSamples
from bev_perception.simulation.roads import Arm, Junction, RoadNetwork

SPACING = 0.5
"""Metres between samples of a segment, about."""

LATERAL_ACCELERATION = 2.6
"""Comfortable limit in curves, metres per second squared."""

BRAKING = 1.6
"""Comfortable braking into curves, metres per second squared."""

TOP_SPEED = 13.5


@dataclass(frozen=True)
class Segment:
    """A lane of a road or a connector through a junction.

    Attributes:
        index: position in LaneGraph.segments.
        curve: the line that the middle of a vehicle follows.
        junction: the junction it crosses, or the one a lane leads to.
        road: road index of a lane, -1 for connectors.
        successors: segments that continue it.
        predecessor: the lane before a connector, -1 for lanes.
        arm_in, arm_out: positions in the junction's arms that a connector joins, or -1.
        offset_in, offset_out: metres of its ends left of the arm's way out.
        turn: radians that it turns, positive to the left.
    """

    index: int
    curve: Curve
    junction: int
    road: int
    successors: tuple[int, ...]
    predecessor: int = -1
    arm_in: int = -1
    arm_out: int = -1
    offset_in: float = 0.0
    offset_out: float = 0.0
    turn: float = 0.0


class LaneGraph:
    """All segments, sampled evenly so that positions are found by index arithmetic.

    Attributes:
        segments: lanes first, then connectors.
        num_lanes: how many of them are lanes.
        lengths: (N,) metres.
        samples: their lines.
        clear_stations: (C, C) station on the first connector beyond which a vehicle's tail is
            out of the way of the second; -inf if they never meet. Index is segment - num_lanes.
        wide_clear_stations: the same where one of the two is a long vehicle.
    """

    def __init__(self, network: RoadNetwork) -> None:
        self.network = network
        lanes = _make_lanes(network)
        connectors = _make_connectors(network, lanes)
        self.num_lanes = len(lanes)
        self.segments = _linked(lanes, connectors)
        self.samples = PathSamples([s.curve for s in self.segments], SPACING)
        self.lengths = self.samples.lengths
        self._limits = self._speed_limits()
        self.clear_stations = self._clear_stations(2.75, 0.5)
        self.wide_clear_stations = self._clear_stations(3.1, 1.6)

    def position(self, segment: IntArray, station: FloatArray) -> FloatArray:
        """(N, 2) points at stations of segments; clipped to the segment."""
        return self.samples.position(segment, station)

    def speed_limit(self, segment: IntArray, station: FloatArray) -> FloatArray:
        """(N,) comfortable speed, already braking for curves ahead in the segment."""
        return self._limits[self.samples.locate(segment, station)[0]]

    def _speed_limits(self) -> FloatArray:
        limits = []
        for even in self.samples.curves:
            curvature = np.abs(even.curvature())
            smooth = np.convolve(np.pad(curvature, 2, mode="edge"), np.ones(5) / 5.0, "valid")
            speed = np.minimum(np.sqrt(LATERAL_ACCELERATION / np.maximum(smooth, 1e-4)), TOP_SPEED)
            step = even.length / (len(even.points) - 1)
            for k in range(len(speed) - 2, -1, -1):
                speed[k] = min(speed[k], np.sqrt(speed[k + 1] ** 2 + 2.0 * BRAKING * step))
            limits.append(speed)
        return np.concatenate(limits)

    def _clear_stations(self, lateral: float, turning: float) -> FloatArray:
        """(C, C) where on the first connector a tail is out of the way of the second.

        Args:
            lateral: metres needed between straight lines.
            turning: metres added where one of the two turns.
        """
        connectors = self.segments[self.num_lanes :]
        clear = np.full((len(connectors), len(connectors)), -np.inf)
        lines = [self.samples.curves[c.index] for c in connectors]
        for a, first in enumerate(connectors):
            for b in range(a + 1, len(connectors)):
                second = connectors[b]
                if first.junction != second.junction:
                    continue
                turns = max(abs(first.turn), abs(second.turn)) > np.radians(30.0)
                near = cdist(lines[a].points, lines[b].points) < lateral + turning * turns
                if near.any():
                    clear[a, b] = lines[a].stations[np.flatnonzero(near.any(axis=1))[-1]]
                    clear[b, a] = lines[b].stations[np.flatnonzero(near.any(axis=0))[-1]]
        return clear


def _make_lanes(network: RoadNetwork) -> list[Segment]:
    lanes: list[Segment] = []
    for road in network.roads:
        for forward in (True, False):
            for offset in road.section.lane_offsets(forward):
                ends = (road.first, road.last) if forward else (road.last, road.first)
                curve = road.line.between(*ends, offset)
                junction = road.end if forward else road.start
                lanes.append(Segment(len(lanes), curve, junction, road.index, ()))
    return lanes


def _lanes_at(
    network: RoadNetwork, arm: Arm, lanes: list[Segment], entering: bool
) -> list[tuple[Segment, float]]:
    """Lanes of an arm towards (entering) or away from its junction, from the centreline
    outwards, with their offset left of the arm's way out."""
    section = network.roads[arm.road].section
    forward = arm.outward != entering
    own = [lane for lane in lanes if lane.road == arm.road]
    split = section.forward_lanes
    chosen = own[:split] if forward else own[split:]
    sign = 1.0 if arm.outward else -1.0
    return [(lane, sign * d) for lane, d in zip(chosen, section.lane_offsets(forward))]


def _make_connectors(network: RoadNetwork, lanes: list[Segment]) -> list[Segment]:
    connectors: list[Segment] = []
    for junction in network.junctions:
        for k_in, arm_in in enumerate(junction.arms):
            entering = _lanes_at(network, arm_in, lanes, entering=True)
            connectors += _from_arm(network, junction, k_in, entering, lanes)
    return connectors


def _from_arm(
    network: RoadNetwork,
    junction: Junction,
    k_in: int,
    entering: list[tuple[Segment, float]],
    lanes: list[Segment],
) -> list[Segment]:
    """Right turns from the outer lane, left turns from the inner one, straight on in lane."""
    made = []
    way_in = -network.arm_direction(junction.arms[k_in])
    options = []
    for k_out, arm_out in enumerate(junction.arms):
        if k_out != k_in:
            way_out = network.arm_direction(arm_out)
            cross = way_in[0] * way_out[1] - way_in[1] * way_out[0]
            options.append((float(np.arctan2(cross, way_in @ way_out)), k_out))
    has_straight = any(abs(turn) < np.radians(35.0) for turn, _ in options)
    for turn, k_out in options:
        leaving = _lanes_at(network, junction.arms[k_out], lanes, entering=False)
        if abs(turn) < np.radians(35.0):
            pairs = [(k, min(k, len(leaving) - 1)) for k in range(len(entering))]
        elif turn < 0:
            pairs = [(len(entering) - 1, len(leaving) - 1)]
        else:
            pairs = [(0, 0)]
            if not has_straight and len(entering) > 1 and len(options) == 1:
                pairs = [(k, min(k, len(leaving) - 1)) for k in range(len(entering))]
        for a, b in pairs:
            (lane_in, d_in), (lane_out, d_out) = entering[a], leaving[b]
            path = rounded_corner(
                lane_in.curve.points[-1], lane_in.curve.tangents[-1],
                lane_out.curve.points[0], lane_out.curve.tangents[0], 14.0, 0.5,
            )  # fmt: skip
            made.append(
                Segment(
                    -1, Curve(path), junction.index, -1, (lane_out.index,),
                    lane_in.index, k_in, k_out, d_in, d_out, turn,
                )
            )  # fmt: skip
    return made


def _linked(lanes: list[Segment], connectors: list[Segment]) -> tuple[Segment, ...]:
    """Gives connectors their indices and lanes their successors."""
    numbered = [replace(c, index=len(lanes) + k) for k, c in enumerate(connectors)]
    following: dict[int, list[int]] = {lane.index: [] for lane in lanes}
    for connector in numbered:
        following[connector.predecessor].append(connector.index)
    linked = [replace(lane, successors=tuple(following[lane.index])) for lane in lanes]
    return (*linked, *numbered)
