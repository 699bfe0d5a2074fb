# SPDX-License-Identifier: Apache-2.0
"""Ground surfaces: asphalt, kerbs, pavements, grass, land to the horizon."""

from __future__ import annotations

import numpy as np

from bev_perception.simulation.blocks import KERB_HEIGHT, KERB_WIDTH, LAND_Z, Block
from bev_perception.simulation.mesh_builder import UP, MeshBuilder
from bev_perception.simulation.polygons import triangulate
from bev_perception.simulation.roads import RoadNetwork
from bev_perception.simulation.scene import Material

HORIZON = 3000.0
"""Half the side of the land around the town, metres."""


def add_roads(builder: MeshBuilder, network: RoadNetwork, seed: int) -> None:
    """Asphalt of roads and junctions at z = 0."""
    rng = np.random.default_rng((seed, 3))
    base = rng.uniform(0.045, 0.085) * np.array([1.0, 1.0, 1.03])
    for road in network.roads:
        count = max(2, int((road.last - road.first) / 2.0) + 1)
        stations = np.linspace(road.first, road.last, count)
        shade = base * rng.uniform(0.9, 1.1)
        left, right = road.section.left, -road.section.right
        line = road.line
        builder.strip(
            line.at(stations, left), line.at(stations, right), 0.0, shade, Material.ASPHALT
        )
    for junction in network.junctions:
        pieces = [network.corner(junction, k) for k in range(len(junction.arms))]
        ring = np.concatenate(pieces)
        points = np.concatenate([junction.center[None], ring])
        k = np.arange(1, len(points))
        faces = np.stack([np.zeros_like(k), k, np.roll(k, -1)], axis=1)
        builder.ground(points, faces, 0.0, base, Material.ASPHALT)


def add_block(builder: MeshBuilder, block: Block, rng: np.random.Generator) -> None:
    """Kerb, pavement and grass of one block."""
    stone = rng.uniform(0.30, 0.42) * np.array([1.0, 0.99, 0.96])
    slabs = rng.uniform(0.22, 0.36) * np.array([1.0, rng.uniform(0.95, 1.0), 0.94])
    grass = np.array([rng.uniform(0.05, 0.09), rng.uniform(0.13, 0.2), rng.uniform(0.03, 0.05)])
    edge, kerb_back = block.inset(0.0), block.inset(KERB_WIDTH)
    back = block.inset(block.pavement_width)
    rings = [np.concatenate([ring, ring[:1]]) for ring in (edge, kerb_back, back)]
    low = np.column_stack([rings[0], np.zeros(len(rings[0]))])
    high = low + KERB_HEIGHT * UP
    builder.quads(
        np.stack([low[:-1], low[1:], high[1:], high[:-1]], axis=1), stone, Material.PAVEMENT
    )
    builder.strip(rings[0], rings[1], KERB_HEIGHT, stone * 1.1, Material.PAVEMENT)
    builder.strip(rings[1], rings[2], KERB_HEIGHT, slabs, Material.PAVEMENT)
    if block.is_outer:
        verge = block.inset(block.pavement_width + 30.0)
        verge = np.concatenate([verge, verge[:1]])
        builder.strip(rings[2], verge, KERB_HEIGHT - 0.01, grass, Material.GRASS)
    else:
        builder.ground(back, triangulate(back), KERB_HEIGHT - 0.01, grass, Material.GRASS)


def add_land(builder: MeshBuilder, seed: int) -> None:
    """One plane to the horizon, below everything else."""
    rng = np.random.default_rng((seed, 4))
    color = np.array([rng.uniform(0.05, 0.1), rng.uniform(0.12, 0.18), 0.04])
    lines = np.linspace(-HORIZON, HORIZON, 25)
    x, y = np.meshgrid(lines, lines)
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    k = np.arange(24 * 25).reshape(24, 25)[:, :24].ravel()
    faces = np.concatenate(
        [np.stack([k, k + 1, k + 26], axis=1), np.stack([k, k + 26, k + 25], axis=1)]
    )
    builder.ground(points, faces, LAND_Z, color, Material.GRASS)
