# SPDX-License-Identifier: Apache-2.0
"""Meshes of lamps, signs, bins and benches."""

from __future__ import annotations

import numpy as np

from bev_perception.simulation.layout import Placed
from bev_perception.simulation.mesh_builder import UP, MeshBuilder
from bev_perception.simulation.scene import Material

STEEL = np.array([0.16, 0.17, 0.18])


def add_furniture(builder: MeshBuilder, placed: Placed, rng: np.random.Generator) -> None:
    """One piece of street furniture; it faces along its yaw."""
    foot = np.array([placed.x, placed.y, placed.z])
    facing = np.array([np.cos(placed.yaw), np.sin(placed.yaw), 0.0])
    if placed.kind == "lamp":
        tall = rng.uniform(5.5, 8.0)
        builder.prism(foot, 0.08, tall, 7, STEEL, Material.PLAIN, 0.6)
        arm = foot + facing * 0.7 + (0.0, 0.0, tall - 0.08)
        builder.box(arm, (1.5, 0.07, 0.08), placed.yaw, STEEL, Material.PLAIN)
        head = foot + facing * 1.4 + (0.0, 0.0, tall - 0.14)
        builder.box(head, (0.55, 0.24, 0.10), placed.yaw, (0.85, 0.84, 0.75), Material.LIGHT)
    elif placed.kind == "sign":
        tall = rng.uniform(2.2, 2.6)
        builder.prism(foot, 0.035, tall, 5, STEEL * 2.0, Material.PLAIN)
        colors = [(0.6, 0.03, 0.03), (0.03, 0.12, 0.5), (0.65, 0.65, 0.65), (0.65, 0.45, 0.02)]
        plate = foot + facing * 0.05 + (0.0, 0.0, tall - 0.6)
        builder.box(plate, (0.03, 0.6, 0.6), placed.yaw, colors[rng.integers(4)], Material.PLAIN)
    elif placed.kind == "bin":
        color = rng.uniform(0.03, 0.15, 3)
        builder.prism(foot, 0.27, 0.95, 8, color, Material.PLAIN, 1.1)
        builder.prism(foot + 0.95 * UP, 0.3, 0.12, 8, color * 0.6, Material.PLAIN, 0.3)
    else:
        wood = np.array([0.22, 0.12, 0.06])
        for side in (-0.6, 0.6):
            leg = foot + side * np.array([-facing[1], facing[0], 0.0])
            builder.box(leg, (0.4, 0.06, 0.42), placed.yaw, STEEL, Material.PLAIN)
        builder.box(foot + 0.42 * UP, (0.45, 1.6, 0.06), placed.yaw, wood, Material.PLAIN)
        back = foot - facing * 0.2 + (0.0, 0.0, 0.5)
        builder.box(back, (0.05, 1.6, 0.4), placed.yaw, wood, Material.PLAIN)
