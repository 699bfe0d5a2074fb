# SPDX-License-Identifier: Apache-2.0
"""City blocks: the faces that the road network leaves, bounded by kerbs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.convex_polygons import signed_area
from bev_perception.simulation.curves import Curve
from bev_perception.simulation.roads import RoadNetwork

KERB_HEIGHT = 0.12
KERB_WIDTH = 0.18

LAND_Z = -0.06
"""Height of the land around the town, which continues below all asphalt."""


@dataclass(frozen=True)
class Block:
    """Raised land between roads.

    Attributes:
        kerb: closed curve with the block on its left; the outer block, which is all land
            outside the town, runs clockwise.
        pavement_width: metres inward from the kerb.
        is_outer: the land around the town.
        driveway_stretches: (start, end) stations of the kerb along roads, away from junctions.
    """

    kerb: Curve
    pavement_width: float
    is_outer: bool
    driveway_stretches: tuple[tuple[float, float], ...]

    def inset(self, distance: float) -> NDArray[np.float64]:
        """(N, 2) the kerb's vertices moved into the block, one for one, open ring."""
        return self.kerb.at(self.kerb.stations[:-1], distance)


def make_blocks(network: RoadNetwork, seed: int) -> tuple[Block, ...]:
    """All faces of the network, in a fixed order."""
    rng = np.random.default_rng((seed, 2))
    blocks = []
    for sides in _faces(network):
        points: list[NDArray[np.float64]] = []
        spans = []
        for road_index, forward, corner in sides:
            side = _side(network, road_index, forward)
            spans.append((side[0], side[-1]))
            points += [side[:-1], corner[:-1]]
        kerb = Curve(np.concatenate(points), closed=True)
        stretches = tuple((kerb.nearest_station(a), kerb.nearest_station(b)) for a, b in spans)
        is_outer = signed_area(kerb.points[:-1]) < 0
        blocks.append(Block(kerb, float(rng.uniform(3.2, 4.2)), is_outer, stretches))
    return tuple(blocks)


def _side(network: RoadNetwork, road_index: int, forward: bool) -> NDArray[np.float64]:
    """(N, 2) the kerb on the left of a road driven in one direction."""
    road = network.roads[road_index]
    if forward:
        return road.line.between(road.first, road.last, road.section.left, 2.5).points
    return road.line.between(road.last, road.first, -road.section.right, 2.5).points


def _faces(
    network: RoadNetwork,
) -> list[list[tuple[int, bool, NDArray[np.float64]]]]:
    """Every face as its sides in order: road, driven forward, kerb corner at the side's end."""
    waiting = [(road.index, forward) for road in network.roads for forward in (True, False)]
    seen: set[tuple[int, bool]] = set()
    faces = []
    for start in waiting:
        if start in seen:
            continue
        sides = []
        side = start
        while side not in seen:
            seen.add(side)
            road = network.roads[side[0]]
            junction = network.junctions[road.end if side[1] else road.start]
            arrival = next(
                k
                for k, arm in enumerate(junction.arms)
                if arm.road == road.index and arm.outward != side[1]
            )
            position = (arrival - 1) % len(junction.arms)
            following = junction.arms[position]
            corner = network.corner(junction, position)[::-1]
            sides.append((side[0], side[1], corner))
            side = (following.road, following.outward)
        faces.append(sides)
    return faces
