# SPDX-License-Identifier: Apache-2.0
"""Zebra crossings as places where pedestrians change blocks and vehicles must look out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.simulation.blocks import Block
from bev_perception.simulation.roads import ZEBRA, RoadNetwork


@dataclass(frozen=True)
class Crossing:
    """A zebra at one end of a road.

    Attributes:
        index: position in the list.
        middle: (2,) where the road's centreline crosses it, metres in map.
        across: (2,) unit vector from the right kerb to the left kerb, looking away from the
            junction.
        along: (2,) unit vector away from the junction.
        right, left: metres from the middle to the kerbs.
        right_block, left_block: block indices on both sides.
        right_station, left_station: where their kerbs meet the zebra.
    """

    index: int
    middle: NDArray[np.float64]
    across: NDArray[np.float64]
    along: NDArray[np.float64]
    right: float
    left: float
    right_block: int
    left_block: int
    right_station: float
    left_station: float


def make_crossings(
    network: RoadNetwork, blocks: tuple[Block, ...]
) -> tuple[tuple[Crossing, ...], dict[tuple[int, int], int]]:
    """All zebras, and the index of each by (junction, position among its arms)."""
    crossings: list[Crossing] = []
    by_arm: dict[tuple[int, int], int] = {}
    distance = (ZEBRA[0] + ZEBRA[1]) / 2.0
    for junction in network.junctions:
        for position, arm in enumerate(junction.arms):
            left, right = network.arm_widths(arm)
            along = network.arm_direction(arm, distance)
            across = np.array([-along[1], along[0]])
            left_block, left_station = _kerb_at(network.arm_point(arm, distance, left), blocks)
            right_block, right_station = _kerb_at(network.arm_point(arm, distance, -right), blocks)
            by_arm[junction.index, position] = len(crossings)
            crossings.append(
                Crossing(
                    len(crossings), network.arm_point(arm, distance, 0.0), across, along,
                    right, left, right_block, left_block, right_station, left_station,
                )
            )  # fmt: skip
    return tuple(crossings), by_arm


def _kerb_at(point: NDArray[np.float64], blocks: tuple[Block, ...]) -> tuple[int, float]:
    """Block whose kerb is nearest to a point, and the station there."""
    gaps = [np.linalg.norm(block.kerb.points - point, axis=1).min() for block in blocks]
    block = int(np.argmin(gaps))
    return block, blocks[block].kerb.resampled(0.25).nearest_station(point)
