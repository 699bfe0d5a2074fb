# SPDX-License-Identifier: Apache-2.0
"""What a road network is made of: cross-sections, roads, junctions.

Traffic drives on the right. Along a road, stations s run from its start junction to its
end junction and offsets d are metres to the left of the centreline, which is the line
between the two directions of traffic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bev_perception.simulation.curves import Curve, rounded_corner

GUTTER = 0.25
"""Metres between the outermost lane (or parking) and the kerb."""

ZEBRA = (0.8, 3.8)
"""Where zebra crossings lie: metres from the road's end at a junction."""

STOP_LINE = 5.0
"""Metres from the road's end at a junction to the stop line."""

Parking = Literal["none", "parallel", "angled"]
PARKING_DEPTH: dict[str, float] = {"none": 0.0, "parallel": 2.45, "angled": 5.4}


@dataclass(frozen=True)
class CrossSection:
    """Widths across a road.

    Attributes:
        forward_lanes, backward_lanes: lanes per direction; forward is on the right.
        lane_width: metres.
        right_parking, left_parking: what lies between the lanes and the kerb.
        bay_angle: radians between road and angled bays.
    """

    forward_lanes: int
    backward_lanes: int
    lane_width: float
    right_parking: Parking
    left_parking: Parking
    bay_angle: float = np.pi / 3

    @property
    def right(self) -> float:
        """Metres from the centreline to the right kerb."""
        depth = PARKING_DEPTH[self.right_parking]
        return self.forward_lanes * self.lane_width + depth + GUTTER

    @property
    def left(self) -> float:
        """Metres from the centreline to the left kerb."""
        depth = PARKING_DEPTH[self.left_parking]
        return self.backward_lanes * self.lane_width + depth + GUTTER

    def lane_offsets(self, forward: bool) -> list[float]:
        """Offset d of every lane of one direction, from the centreline outwards."""
        count = self.forward_lanes if forward else self.backward_lanes
        sign = -1.0 if forward else 1.0
        return [sign * (k + 0.5) * self.lane_width for k in range(count)]


@dataclass(frozen=True)
class Road:
    """A road between two junctions.

    Attributes:
        index: position in RoadNetwork.roads.
        start, end: junction indices.
        line: centreline from node to node.
        section: widths.
        trim_start, trim_end: metres of the line that belong to the junctions.
    """

    index: int
    start: int
    end: int
    line: Curve
    section: CrossSection
    trim_start: float = 0.0
    trim_end: float = 0.0

    @property
    def first(self) -> float:
        """Station where the road proper begins."""
        return self.trim_start

    @property
    def last(self) -> float:
        """Station where the road proper ends."""
        return self.line.length - self.trim_end


@dataclass(frozen=True)
class Arm:
    """A road as seen from one of its junctions, looking away from it.

    Attributes:
        road: index.
        outward: the road's own direction leads away from the junction.
    """

    road: int
    outward: bool


@dataclass(frozen=True)
class Junction:
    """Where roads meet.

    Attributes:
        index: position in RoadNetwork.junctions.
        center: (2,) metres in map.
        arms: counter-clockwise.
    """

    index: int
    center: NDArray[np.float64]
    arms: tuple[Arm, ...]


@dataclass(frozen=True)
class RoadNetwork:
    """Junctions and roads, a planar graph.

    Attributes:
        roads, junctions: by index.
    """

    roads: tuple[Road, ...]
    junctions: tuple[Junction, ...]

    def arm_point(self, arm: Arm, distance: float, offset: float) -> NDArray[np.float64]:
        """(2,) metres; distance from the road's end at the junction, offset to the left of
        the direction away from it."""
        road = self.roads[arm.road]
        if arm.outward:
            return road.line.at(road.first + distance, offset)
        return road.line.at(road.last - distance, -offset)

    def arm_direction(self, arm: Arm, distance: float = 0.0) -> NDArray[np.float64]:
        """(2,) unit vector away from the junction."""
        road = self.roads[arm.road]
        if arm.outward:
            return road.line.tangent(road.first + distance)
        return -road.line.tangent(road.last - distance)

    def arm_widths(self, arm: Arm) -> tuple[float, float]:
        """Metres to the left and the right kerb, looking away from the junction."""
        section = self.roads[arm.road].section
        return (section.left, section.right) if arm.outward else (section.right, section.left)

    def corner(self, junction: Junction, position: int) -> NDArray[np.float64]:
        """(N, 2) kerb from the left edge of arm ``position`` to the right edge of the next arm
        counter-clockwise."""
        arm = junction.arms[position]
        following = junction.arms[(position + 1) % len(junction.arms)]
        start = self.arm_point(arm, 0.0, self.arm_widths(arm)[0])
        end = self.arm_point(following, 0.0, -self.arm_widths(following)[1])
        return rounded_corner(
            start, -self.arm_direction(arm), end, self.arm_direction(following), 9.0, 1.0
        )
