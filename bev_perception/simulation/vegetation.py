# SPDX-License-Identifier: Apache-2.0
"""Meshes of trees and hedges."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bev_perception.simulation.layout import Placed
from bev_perception.simulation.mesh_builder import UP, MeshBuilder
from bev_perception.simulation.scene import Material

BARK = np.array([0.10, 0.06, 0.035])


def add_plant(builder: MeshBuilder, placed: Placed, rng: np.random.Generator) -> None:
    """A tree, conifer or hedge."""
    foot = np.array([placed.x, placed.y, placed.z])
    if placed.kind == "tree":
        _add_tree(builder, foot, rng)
    elif placed.kind == "conifer":
        _add_conifer(builder, foot, rng)
    else:
        size = placed.length, rng.uniform(0.5, 0.8), rng.uniform(0.7, 1.4)
        builder.box(foot, size, placed.yaw, _leaf_color(rng), Material.FOLIAGE)


def _leaf_color(rng: np.random.Generator) -> NDArray[np.float64]:
    color = np.array([rng.uniform(0.03, 0.09), rng.uniform(0.09, 0.19), rng.uniform(0.015, 0.04)])
    if rng.random() < 0.06:
        color = np.array([rng.uniform(0.18, 0.3), rng.uniform(0.08, 0.14), 0.02])
    return color


def _add_tree(builder: MeshBuilder, foot: NDArray[np.float64], rng: np.random.Generator) -> None:
    height = rng.uniform(4.5, 8.5)
    clear = height * rng.uniform(0.35, 0.45)
    builder.prism(foot, rng.uniform(0.11, 0.22), clear * 1.3, 6, BARK, Material.PLAIN, 0.7)
    color = _leaf_color(rng)
    points, faces = _icosphere()
    crown = (height - clear) / 2.0
    for k in range(int(rng.integers(1, 3))):
        reach = crown * (1.0 if k == 0 else rng.uniform(0.55, 0.8))
        center = foot + (clear + crown) * UP
        if k:
            shift = rng.uniform(-0.5, 0.5, 3) * crown
            center = center + shift * (1.2, 1.2, 0.8)
        lumps = 1.0 + rng.uniform(-0.16, 0.16, (len(points), 1))
        blob = (
            points * lumps * (reach * rng.uniform(0.85, 1.1), reach * rng.uniform(0.85, 1.1), reach)
        )
        shade = color * rng.uniform(0.8, 1.2) * (0.8 + 0.25 * points[:, 2:3])
        builder.triangles(blob + center, faces, shade, Material.FOLIAGE, points)


def _add_conifer(builder: MeshBuilder, foot: NDArray[np.float64], rng: np.random.Generator) -> None:
    height = rng.uniform(5.0, 10.0)
    builder.prism(foot, 0.14, height * 0.3, 6, BARK, Material.PLAIN)
    color = np.array([rng.uniform(0.02, 0.05), rng.uniform(0.06, 0.12), rng.uniform(0.02, 0.04)])
    base, radius = 0.18 * height, height * rng.uniform(0.17, 0.23)
    for k in range(3):
        low = foot + (base + k * height * 0.22) * UP
        tall = height * 0.38
        builder.prism(low, radius * (1.0 - 0.24 * k), tall, 9, color, Material.FOLIAGE, 0.08)


@lru_cache(maxsize=1)
def _icosphere() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Unit sphere of 80 triangles: points (42, 3) and faces (80, 3)."""
    g = (1.0 + np.sqrt(5.0)) / 2.0
    points = [(-1, g, 0), (1, g, 0), (-1, -g, 0), (1, -g, 0), (0, -1, g), (0, 1, g),
              (0, -1, -g), (0, 1, -g), (g, 0, -1), (g, 0, 1), (-g, 0, -1), (-g, 0, 1)]  # fmt: skip
    faces = [(0, 11, 5), (0, 5, 1), (0, 1, 7), (0, 7, 10), (0, 10, 11), (1, 5, 9), (5, 11, 4),
             (11, 10, 2), (10, 7, 6), (7, 1, 8), (3, 9, 4), (3, 4, 2), (3, 2, 6), (3, 6, 8),
             (3, 8, 9), (4, 9, 5), (2, 4, 11), (6, 2, 10), (8, 6, 7), (9, 8, 1)]  # fmt: skip
    vertices = [np.array(p, dtype=np.float64) / np.linalg.norm(p) for p in points]
    middles: dict[tuple[int, int], int] = {}

    def middle(a: int, b: int) -> int:
        key = (min(a, b), max(a, b))
        if key not in middles:
            point = vertices[a] + vertices[b]
            vertices.append(point / np.linalg.norm(point))
            middles[key] = len(vertices) - 1
        return middles[key]

    finer = []
    for a, b, c in faces:
        ab, bc, ca = middle(a, b), middle(b, c), middle(c, a)
        finer += [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
    return np.array(vertices), np.array(finer, dtype=np.int64)
