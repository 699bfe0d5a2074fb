# SPDX-License-Identifier: Apache-2.0
"""Where vehicles may park: strips along kerbs, bays in lots, driveways."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bev_perception.simulation.roads import GUTTER, RoadNetwork

JUNCTION_CLEARANCE = 9.0
"""Metres from a road's end to the first parked vehicle."""


@dataclass(frozen=True)
class ParkingStrip:
    """A strip along a road.

    Attributes:
        road: index.
        kind: "parallel" or "angled".
        start, end: stations of the road.
        inner_offset, outer_offset: offsets d of the strip's edges, outer towards the kerb.
        angle: radians from the road's direction to a parked vehicle in an angled bay.
        pitch: metres of road per angled bay.
    """

    road: int
    kind: str
    start: float
    end: float
    inner_offset: float
    outer_offset: float
    angle: float
    pitch: float


@dataclass(frozen=True)
class Bay:
    """One place for one vehicle off the road.

    Attributes:
        x, y: metres in map, centre of the bay.
        z: metres, height of the ground.
        yaw: radians, the way into the bay.
        length, width: metres.
    """

    x: float
    y: float
    z: float
    yaw: float
    length: float
    width: float


def make_strips(network: RoadNetwork) -> tuple[ParkingStrip, ...]:
    """Strips beside all roads whose cross-section has parking."""
    strips = []
    for road in network.roads:
        section = road.section
        start, end = road.first + JUNCTION_CLEARANCE, road.last - JUNCTION_CLEARANCE
        for kind, sign, kerb in (
            (section.right_parking, -1.0, section.right),
            (section.left_parking, 1.0, section.left),
        ):
            if kind == "none" or end - start < 8.0:
                continue
            lanes = section.forward_lanes if sign < 0 else section.backward_lanes
            inner, outer = lanes * section.lane_width, kerb - GUTTER
            pitch = 2.6 / np.sin(section.bay_angle)
            strips.append(
                ParkingStrip(
                    road.index,
                    kind,
                    start,
                    end,
                    sign * inner,
                    sign * outer,
                    section.bay_angle,
                    float(pitch),
                )
            )
    return tuple(strips)
