# SPDX-License-Identifier: Apache-2.0
"""Vehicles that stand: along kerbs, in angled bays, on lots and driveways."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from bev_perception.simulation.curves import Curve
from bev_perception.simulation.fleet_mix import PARKED_MIX, draw_model
from bev_perception.simulation.footprints import (
    RectangleSet,
    rectangle_corners,
    rectangles_overlap,
)
from bev_perception.simulation.lanes import LaneGraph
from bev_perception.simulation.layout import Plot
from bev_perception.simulation.parking import Bay, ParkingStrip
from bev_perception.simulation.scene import CATALOG
from bev_perception.simulation.town import Town
from bev_perception.simulation.vehicles import AXLE_SHARE

LONGEST_MODEL = "city_bus"
GATE_CLEARANCE = 0.6
"""Metres between a parked vehicle and a driveway's edge."""

PASSING_MARGIN = 0.4
"""Metres of width that a passing vehicle needs beyond its own, both sides together."""


@dataclass(frozen=True)
class ParkedVehicle:
    """One standing vehicle: model, centre in map (metres), ground height, heading (radians)."""

    model: str
    x: float
    y: float
    z: float
    yaw: float


def park_vehicles(town: Town, seed: int, graph: LaneGraph) -> list[ParkedVehicle]:
    """Fills a town's parking places; none of the vehicles overlap.

    None stands where a bus on any lane or connector of the graph would pass. Occupancy
    differs from street to street and from seed to seed.
    """
    rng = np.random.default_rng((town.seed, seed, 20))
    taken = RectangleSet()
    parked: list[ParkedVehicle] = []
    gates = [_gate(p) for layout in town.layouts for p in layout.plots if p.kind == "driveway"]
    candidates: list[ParkedVehicle] = []
    for strip in town.strips:
        line = town.network.roads[strip.road].line
        fill = rng.uniform(0.65, 1.0)
        draw = _parallel if strip.kind == "parallel" else _angled
        row = draw(strip, line, fill, rng)
        candidates += [v for v in row if not _blocks_gate(v, gates)]
    fill = rng.uniform(0.45, 0.9)
    candidates += [_in_bay(bay, rng) for bay in town.bays if rng.random() < fill]
    candidates += _bicycles(town, rng)
    for vehicle in candidates:
        length, width, _ = CATALOG[vehicle.model].size
        if taken.add_if_fits(vehicle.x, vehicle.y, vehicle.yaw, length + 0.1, width + 0.1):
            parked.append(vehicle)
    hit = _in_the_way(parked, graph)
    return [vehicle for vehicle, is_hit in zip(parked, hit) if not is_hit]


def _gate(driveway: Plot) -> tuple[float, float, float]:
    """Where a driveway meets the kerb, metres in map, and half its width."""
    depth = driveway.width / 2.0
    x = driveway.x + np.sin(driveway.yaw) * depth
    y = driveway.y - np.cos(driveway.yaw) * depth
    return float(x), float(y), driveway.length / 2.0


def _blocks_gate(vehicle: ParkedVehicle, gates: list[tuple[float, float, float]]) -> bool:
    length = CATALOG[vehicle.model].size[0]
    return any(
        np.hypot(x - vehicle.x, y - vehicle.y) < half + length / 2.0 + GATE_CLEARANCE
        for x, y, half in gates
    )


def _in_the_way(parked: list[ParkedVehicle], graph: LaneGraph) -> NDArray[np.bool_]:
    """(P,) whether the longest vehicle would touch a parked one somewhere on its path."""
    hit = np.zeros(len(parked), dtype=bool)
    if not parked:
        return hit
    length, width, _ = CATALOG[LONGEST_MODEL].size
    half_wheelbase = AXLE_SHARE * length
    centers, yaws = [], []
    for curve in graph.samples.curves:
        stations = np.arange(0.0, curve.length, 1.5)
        front = curve.at(np.minimum(stations + half_wheelbase, curve.length))
        rear = curve.at(np.maximum(stations - half_wheelbase, 0.0))
        centers.append((front + rear) / 2.0)
        yaws.append(np.arctan2(*(front - rear).T[::-1]))
    center = np.concatenate(centers)
    swept = rectangle_corners(
        center, np.concatenate(yaws), np.full(len(center), length),
        np.full(len(center), width + PASSING_MARGIN),
    )  # fmt: skip
    place = np.array([(p.x, p.y) for p in parked])
    sizes = np.array([CATALOG[p.model].size for p in parked])
    bodies = rectangle_corners(place, [p.yaw for p in parked], sizes[:, 0], sizes[:, 1])
    reach = float(np.hypot(length, width) / 2.0 + np.hypot(sizes[:, 0], sizes[:, 1]).max() / 2.0)
    near = cKDTree(place).query_ball_point(center, reach)
    first = np.repeat(np.arange(len(center)), [len(found) for found in near])
    second = np.array([k for found in near for k in found], dtype=np.int64)
    hit[second[rectangles_overlap(swept[first], bodies[second])]] = True
    return hit


def _heading(line: Curve, station: float) -> float:
    tangent = line.tangent(station)
    return float(np.arctan2(tangent[1], tangent[0]))


def _parallel(
    strip: ParkingStrip, line: Curve, fill: float, rng: np.random.Generator
) -> list[ParkedVehicle]:
    row = []
    sign = float(np.sign(strip.outer_offset))
    station = strip.start + rng.uniform(0.0, 2.0)
    while station < strip.end - 3.0:
        if rng.random() > fill:
            station += rng.uniform(3.0, 7.0)
            continue
        model = "box_truck" if rng.random() < 0.015 else draw_model(PARKED_MIX, rng)
        length, width, _ = CATALOG[model].size
        along, turn = length, rng.normal(0.0, 0.025)
        if model == "motorcycle":
            along, turn = 1.2, rng.uniform(0.9, 1.5)
            width = length
        if station + along > strip.end:
            break
        # Towards the kerb, with a hand's width left where the vehicle is as wide as the strip.
        spare = abs(strip.outer_offset - strip.inner_offset) - width
        offset = strip.outer_offset - sign * (
            width / 2.0 + rng.uniform(0.05, 0.7) * max(spare, 0.0)
        )
        against = rng.random() < 0.12
        yaw = (
            _heading(line, station + along / 2.0) + turn + (np.pi if (sign > 0) != against else 0.0)
        )
        x, y = line.at(station + along / 2.0, offset)
        row.append(ParkedVehicle(model, float(x), float(y), 0.0, float(yaw)))
        station += along + rng.uniform(0.55, 1.5)
    return row


def _angled(
    strip: ParkingStrip, line: Curve, fill: float, rng: np.random.Generator
) -> list[ParkedVehicle]:
    row = []
    sign = float(np.sign(strip.outer_offset))
    depth = abs(strip.outer_offset - strip.inner_offset)
    slant = depth / np.tan(strip.angle)
    for station in np.arange(strip.start, strip.end - slant - strip.pitch + 0.1, strip.pitch):
        if rng.random() > fill:
            continue
        model = str(rng.choice(["sedan", "hatchback", "estate", "suv"]))
        middle = float(station) + strip.pitch / 2.0 + slant / 2.0
        yaw = _heading(line, middle) + sign * strip.angle + rng.normal(0.0, 0.03)
        if rng.random() < 0.35:
            yaw += np.pi
        offset = (strip.inner_offset + strip.outer_offset) / 2.0 + sign * rng.uniform(0.0, 0.15)
        x, y = line.at(middle, offset)
        row.append(ParkedVehicle(model, float(x), float(y), 0.0, float(yaw)))
    return row


def _in_bay(bay: Bay, rng: np.random.Generator) -> ParkedVehicle:
    models = ["sedan", "hatchback", "estate", "suv"]
    model = str(rng.choice([*models, "van"] if bay.length > 5.3 else models))
    yaw = bay.yaw + rng.normal(0.0, 0.04) + (np.pi if rng.random() < 0.4 else 0.0)
    slide = rng.normal(0.0, 0.15)
    x, y = bay.x + slide * np.cos(bay.yaw), bay.y + slide * np.sin(bay.yaw)
    return ParkedVehicle(model, float(x), float(y), bay.z, float(yaw))


def _bicycles(town: Town, rng: np.random.Generator) -> list[ParkedVehicle]:
    """Bicycles against lamps, along the kerb."""
    found = []
    for layout in town.layouts:
        for placed in layout.placed:
            if placed.kind == "lamp" and rng.random() < 0.10:
                along = placed.yaw + np.pi / 2.0
                x, y = placed.x + 1.3 * np.cos(along), placed.y + 1.3 * np.sin(along)
                yaw = along + rng.normal(0.0, 0.08)
                found.append(ParkedVehicle("bicycle", float(x), float(y), 0.12, float(yaw)))
    return found
