# SPDX-License-Identifier: Apache-2.0
"""Grows a road network from a seed: an irregular lattice with bends, T and X crossings."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bev_perception.simulation.curves import Curve, bezier, rounded_corner, unit
from bev_perception.simulation.roads import Arm, CrossSection, Junction, Parking, Road, RoadNetwork

MIN_ROAD_LENGTH = 24.0
MIN_ARM_ANGLE = np.radians(56.0)
CORNER_LEG = 6.5
"""Metres from where two kerb lines would meet to where the rounding starts."""


@dataclass
class _Street:
    """An edge of the lattice, later a chain of edges: node ids and the style of its line."""

    nodes: list[int]
    style: int


def make_network(seed: int) -> RoadNetwork:
    """A network that depends on nothing but the seed.

    A draw whose roads come out too short or too acute is thrown away and drawn again.
    """
    for attempt in range(100):
        rng = np.random.default_rng((seed, 1, attempt))
        network = _try_network(rng)
        if network is not None:
            return network
    raise AssertionError(f"no road network found for town seed {seed}")  # never seen


def _try_network(rng: np.random.Generator) -> RoadNetwork | None:
    nodes, streets, styles = _lattice(rng)
    streets = _chains(_thinned(streets, len(nodes), rng))
    used = sorted({street.nodes[k] for street in streets for k in (0, -1)})
    renumbered = {node: k for k, node in enumerate(used)}
    lines = _lines(nodes, streets, rng)
    if lines is None:
        return None
    roads = []
    for k, (street, line) in enumerate(zip(streets, lines)):
        section = _varied(styles[street.style], line, rng)
        ends = renumbered[street.nodes[0]], renumbered[street.nodes[-1]]
        roads.append(Road(k, *ends, line, section))
    junctions = [_junction(k, nodes[node], roads) for k, node in enumerate(used)]
    trimmed = _trimmed(roads, junctions)
    if any(road.last - road.first < MIN_ROAD_LENGTH for road in trimmed):
        return None
    return RoadNetwork(tuple(trimmed), tuple(junctions))


def _lattice(
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], list[_Street], list[CrossSection]]:
    """Node positions (N, 2), streets between neighbours, a style for every line."""
    num_x, num_y = int(rng.integers(4, 6)), int(rng.integers(4, 6))
    x = np.concatenate([[0.0], np.cumsum(rng.uniform(72.0, 108.0, num_x - 1))])
    y = np.concatenate([[0.0], np.cumsum(rng.uniform(72.0, 108.0, num_y - 1))])
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    grid = grid - grid.mean(axis=0) + rng.uniform(-7.0, 7.0, grid.shape)
    angle = rng.uniform(0.0, 2.0 * np.pi)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    streets = []
    for row in range(num_y):
        for column in range(num_x):
            node = row * num_x + column
            if column + 1 < num_x:
                streets.append(_Street([node, node + 1], row))
            if row + 1 < num_y:
                streets.append(_Street([node, node + num_x], num_y + column))
    styles = [_style(rng) for _ in range(num_x + num_y)]
    return grid @ rotation.T, streets, styles


def _style(rng: np.random.Generator) -> CrossSection:
    kind = rng.choice(4, p=[0.2, 0.12, 0.48, 0.2])
    if kind == 0:
        return CrossSection(2, 2, rng.uniform(3.1, 3.4), "parallel", "parallel")
    if kind == 1:
        forward = int(rng.integers(1, 3))
        return CrossSection(forward, 3 - forward, rng.uniform(3.1, 3.4), "parallel", "parallel")
    if kind == 2:
        return CrossSection(1, 1, rng.uniform(3.2, 3.7), "parallel", "parallel")
    return CrossSection(1, 1, rng.uniform(3.0, 3.3), "parallel", "none")


def _varied(style: CrossSection, line: Curve, rng: np.random.Generator) -> CrossSection:
    """The style of the whole line with this road's own parking; none in tight bends."""
    if np.abs(line.curvature()).max() > 1.0 / 30.0:
        return replace(style, right_parking="none", left_parking="none")

    def drawn(parking: Parking) -> Parking:
        value = rng.random()
        if parking == "none":
            return "parallel" if value < 0.4 else "none"
        return "none" if value < 0.08 else "angled" if value > 0.84 else "parallel"

    angle = np.radians(rng.choice([55.0, 70.0, 90.0]))
    right, left = drawn(style.right_parking), drawn(style.left_parking)
    if right == left == "angled":
        left = "parallel"
    return replace(style, right_parking=right, left_parking=left, bay_angle=float(angle))


def _thinned(streets: list[_Street], num_nodes: int, rng: np.random.Generator) -> list[_Street]:
    """Takes streets away, which turns X crossings into T crossings and bends."""
    kept = list(streets)
    for candidate in rng.permutation(len(streets))[: int(0.3 * len(streets))]:
        street = streets[candidate]
        degrees = [sum(node in other.nodes for other in kept) for node in street.nodes]
        least = 3 if rng.random() < 0.85 else 2
        if min(degrees) <= least:
            continue
        fewer = [other for other in kept if other is not street]
        if all(_connected([o for o in fewer if o is not e], num_nodes) for e in fewer):
            kept = fewer
    return kept


def _connected(streets: list[_Street], num_nodes: int) -> bool:
    parents = list(range(num_nodes))

    def root(node: int) -> int:
        while parents[node] != node:
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node

    for street in streets:
        parents[root(street.nodes[0])] = root(street.nodes[-1])
    return len({root(node) for node in range(num_nodes)}) == 1


def _chains(streets: list[_Street]) -> list[_Street]:
    """Joins streets where only two meet, so that every node left is a real junction."""
    result = [_Street(list(street.nodes), street.style) for street in streets]
    while True:
        ends: dict[int, list[_Street]] = {}
        for street in result:
            for node in (street.nodes[0], street.nodes[-1]):
                ends.setdefault(node, []).append(street)
        for node, (first, *others) in sorted(ends.items()):
            if len(others) != 1 or others[0] is first:
                continue
            second = others[0]
            a = first.nodes if first.nodes[-1] == node else first.nodes[::-1]
            b = second.nodes if second.nodes[0] == node else second.nodes[::-1]
            if a[0] == b[-1]:
                continue
            result = [s for s in result if s is not first and s is not second]
            result.append(_Street(a + b[1:], first.style))
            break
        else:
            return result


def _lines(
    nodes: NDArray[np.float64], streets: list[_Street], rng: np.random.Generator
) -> list[Curve] | None:
    """A centreline for every street; None if some junction stays too acute."""
    bows = rng.uniform(-1.0, 1.0, (len(streets), 2)) * np.radians(13.0)
    same_side = rng.random(len(streets)) < 0.65
    bows[same_side, 1] = -bows[same_side, 0]
    for _ in range(6):
        lines = [_line(nodes, street, bow) for street, bow in zip(streets, bows)]
        acute = _acute_nodes(streets, lines)
        if not acute:
            return lines
        for k, street in enumerate(streets):
            if acute & {street.nodes[0], street.nodes[-1]}:
                bows[k] *= 0.5
    return None


def _line(nodes: NDArray[np.float64], street: _Street, bow: NDArray[np.float64]) -> Curve:
    points = nodes[street.nodes]
    if len(points) == 2:
        chord = points[1] - points[0]
        u, v = (_turned(chord, angle) / 3.0 for angle in bow)
        return Curve(bezier(points[0], points[0] + u, points[1] - v, points[1], 80)).resampled(1.0)
    pieces = []
    middles = (points[:-1] + points[1:]) / 2.0
    middles[0], middles[-1] = points[0], points[-1]
    for k in range(len(points) - 2):
        before, after = points[k + 1] - points[k], points[k + 2] - points[k + 1]
        pieces.append(rounded_corner(middles[k], unit(before), middles[k + 1], unit(after), 45.0))
    return Curve(np.concatenate(pieces)).resampled(1.0)


def _turned(vector: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([c * vector[0] - s * vector[1], s * vector[0] + c * vector[1]])


def _acute_nodes(streets: list[_Street], lines: list[Curve]) -> set[int]:
    headings: dict[int, list[float]] = {}
    for street, line in zip(streets, lines):
        for node, tangent in (
            (street.nodes[0], line.at(25.0) - line.points[0]),
            (street.nodes[-1], line.at(line.length - 25.0) - line.points[-1]),
        ):
            headings.setdefault(node, []).append(float(np.arctan2(tangent[1], tangent[0])))
    acute = set()
    for node, angles in headings.items():
        ordered = np.sort(angles)
        gaps = np.diff(np.concatenate([ordered, ordered[:1] + 2.0 * np.pi]))
        if gaps.min() < MIN_ARM_ANGLE:
            acute.add(node)
    return acute


def _junction(index: int, center: NDArray[np.float64], roads: list[Road]) -> Junction:
    arms = [Arm(r.index, True) for r in roads if r.start == index]
    arms += [Arm(r.index, False) for r in roads if r.end == index]
    arms.sort(key=lambda arm: _arm_heading(roads[arm.road], arm))
    return Junction(index, center, tuple(arms))


def _arm_heading(road: Road, arm: Arm) -> float:
    """Heading away from the junction over the length that matters for its shape."""
    line = road.line
    if arm.outward:
        direction = line.at(20.0) - line.points[0]
    else:
        direction = line.at(line.length - 20.0) - line.points[-1]
    return float(np.arctan2(direction[1], direction[0]))


def _trimmed(roads: list[Road], junctions: list[Junction]) -> list[Road]:
    """Roads cut back so far that neighbouring kerbs can be rounded into each other."""
    trims = {(road.index, outward): 7.0 for road in roads for outward in (True, False)}
    for junction in junctions:
        for k, arm in enumerate(junction.arms):
            following = junction.arms[(k + 1) % len(junction.arms)]
            road, other = roads[arm.road], roads[following.road]
            angle = (_arm_heading(other, following) - _arm_heading(road, arm)) % (2.0 * np.pi)
            if angle > np.radians(150.0):
                continue
            left = road.section.left if arm.outward else road.section.right
            right = other.section.right if following.outward else other.section.left
            for member, near, far in ((arm, left, right), (following, right, left)):
                needed = (far + near * np.cos(angle)) / np.sin(angle) + CORNER_LEG
                key = member.road, member.outward
                trims[key] = max(trims[key], needed)
    return [
        replace(road, trim_start=trims[road.index, True], trim_end=trims[road.index, False])
        for road in roads
    ]
