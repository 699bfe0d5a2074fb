# SPDX-License-Identifier: Apache-2.0
"""Meshes of buildings, driveways and parking lots."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

from bev_perception.simulation.blocks import KERB_HEIGHT
from bev_perception.simulation.layout import Plot
from bev_perception.simulation.markings import WHITE
from bev_perception.simulation.mesh_builder import MeshBuilder
from bev_perception.simulation.parking import Bay
from bev_perception.simulation.scene import Material

STOREY = 3.2
"""Metres per floor; the shader's window rows repeat with it."""


def add_plot(builder: MeshBuilder, plot: Plot, rng: np.random.Generator) -> None:
    """The mesh of one plot, chosen by its kind."""
    if plot.kind == "building":
        _add_block_building(builder, plot, rng)
    elif plot.kind == "house":
        _add_house(builder, plot, rng)
    else:
        _add_tarmac(builder, plot, rng)


def add_bay_lines(builder: MeshBuilder, bay: Bay) -> None:
    """White lines on both sides of a bay in a parking lot."""
    c, s = np.cos(bay.yaw), np.sin(bay.yaw)
    for side in (-1.0, 1.0):
        across = side * (bay.width / 2.0 + 0.05)
        shape = np.array([(-2.5, across - 0.05), (2.5, across - 0.05), (2.5, across + 0.05),
                          (-2.5, across + 0.05)])  # fmt: skip
        flat = shape @ np.array([[c, s], [-s, c]]) + (bay.x, bay.y)
        corners = np.column_stack([flat, np.full(4, bay.z + 0.012)])
        builder.quads(corners[None], WHITE, Material.MARKING)


def _wall_color(rng: np.random.Generator) -> NDArray[np.float64]:
    hue = float(rng.choice([0.05, 0.08, 0.11, 0.0, 0.58, 0.35])) + rng.uniform(-0.04, 0.04)
    saturation, value = rng.uniform(0.05, 0.45), rng.uniform(0.18, 0.62)
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value))


def _add_block_building(builder: MeshBuilder, plot: Plot, rng: np.random.Generator) -> None:
    wall = _wall_color(rng)
    roof = np.full(3, rng.uniform(0.10, 0.30))
    floors = int(rng.integers(2, 8))
    height = floors * STOREY
    parts = [(0.0, plot.length, height)]
    if plot.length > 16.0 and rng.random() < 0.5:
        cut = plot.length * rng.uniform(0.35, 0.65)
        lower = max(1, floors - int(rng.integers(1, 4))) * STOREY
        parts = [
            ((cut - plot.length) / 2.0, cut, height),
            (cut / 2.0, plot.length - cut, lower),
        ]
    c, s = np.cos(plot.yaw), np.sin(plot.yaw)
    for shift, length, tall in parts:
        x, y = plot.x + c * shift, plot.y + s * shift
        builder.box(
            (x, y, KERB_HEIGHT - 0.05), (length, plot.width, tall + 0.05), plot.yaw,
            wall, Material.FACADE, (roof, Material.PLAIN),
        )  # fmt: skip
        _add_parapet(
            builder, (x, y, tall + KERB_HEIGHT), (length, plot.width), plot.yaw, wall * 0.8
        )
        if rng.random() < 0.6:
            size = rng.uniform(1.5, 4.0, 3) * (1.0, 1.0, 0.6)
            place = x + c * length * 0.2, y + s * length * 0.2, tall + KERB_HEIGHT
            builder.box(place, size, plot.yaw, roof * 1.3, Material.PLAIN)


def _add_parapet(
    builder: MeshBuilder,
    center: tuple[float, float, float],
    size: tuple[float, float],
    yaw: float,
    color: NDArray[np.float64],
) -> None:
    """A cornice round the roof's edge, as four low boxes that stand out a little."""
    c, s = np.cos(yaw), np.sin(yaw)
    length, width = size
    for along, across, dx, dy in (
        (0.0, width / 2, length + 0.3, 0.3), (0.0, -width / 2, length + 0.3, 0.3),
        (length / 2, 0.0, 0.3, width - 0.3), (-length / 2, 0.0, 0.3, width - 0.3),
    ):  # fmt: skip
        x = center[0] + c * along - s * across
        y = center[1] + s * along + c * across
        builder.box((x, y, center[2] - 0.25), (dx, dy, 0.7), yaw, color, Material.PLAIN)


def _add_house(builder: MeshBuilder, plot: Plot, rng: np.random.Generator) -> None:
    wall = _wall_color(rng)
    height = int(rng.integers(1, 3)) * STOREY - 0.2
    tiles = np.array([rng.uniform(0.15, 0.35), rng.uniform(0.07, 0.12), 0.06])
    if rng.random() < 0.4:
        tiles = np.full(3, rng.uniform(0.06, 0.16))
    base = KERB_HEIGHT - 0.05
    size = plot.length, plot.width, height + 0.05
    builder.box((plot.x, plot.y, base), size, plot.yaw, wall, Material.FACADE)
    _add_gable(builder, plot, KERB_HEIGHT + height, rng.uniform(1.8, 3.6), tiles, wall)


def _add_gable(
    builder: MeshBuilder,
    plot: Plot,
    eaves: float,
    rise: float,
    tiles: NDArray[np.float64],
    wall: NDArray[np.float64],
) -> None:
    """A ridge roof along the plot's length, reaching 0.4 m over the walls."""
    c, s = np.cos(plot.yaw), np.sin(plot.yaw)
    half, reach = plot.length / 2.0 + 0.4, plot.width / 2.0 + 0.4
    drop = rise * 0.4 / (plot.width / 2.0)

    def mapped(points: list[tuple[float, float, float]]) -> NDArray[np.float64]:
        local = np.array(points)
        x = plot.x + c * local[:, 0] - s * local[:, 1]
        y = plot.y + s * local[:, 0] + c * local[:, 1]
        return np.column_stack([x, y, local[:, 2] + eaves])

    slope = [(-half, -reach, -drop), (half, -reach, -drop), (half, 0.0, rise), (-half, 0.0, rise)]
    other = [(half, reach, -drop), (-half, reach, -drop), (-half, 0.0, rise), (half, 0.0, rise)]
    for shape in (slope, other):
        corners = mapped(shape)
        builder.quads(corners[None], tiles, Material.PLAIN)
        below = corners[::-1] - (0.0, 0.0, 0.12)
        builder.quads(below[None], tiles * 0.5, Material.PLAIN)
    edge, side = plot.length / 2.0, plot.width / 2.0
    ends = mapped([(edge, -side, 0.0), (edge, side, 0.0), (edge, 0.0, rise - 0.05),
                   (-edge, side, 0.0), (-edge, -side, 0.0), (-edge, 0.0, rise - 0.05)])  # fmt: skip
    builder.triangles(ends, [(0, 1, 2), (3, 4, 5)], wall, Material.PLAIN)


def _add_tarmac(builder: MeshBuilder, plot: Plot, rng: np.random.Generator) -> None:
    """Driveway or lot: a thin slab just above pavement and grass."""
    lift = 0.012 if plot.kind == "driveway" else 0.01
    shade = rng.uniform(0.07, 0.16) if plot.kind == "driveway" else rng.uniform(0.05, 0.09)
    c, s = np.cos(plot.yaw), np.sin(plot.yaw)
    signs = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (plot.length / 2, plot.width / 2)
    flat = signs @ np.array([[c, s], [-s, c]]) + (plot.x, plot.y)
    corners = np.column_stack([flat, np.full(4, KERB_HEIGHT + lift)])
    material = Material.PAVEMENT if plot.kind == "driveway" else Material.ASPHALT
    builder.quads(corners[None], np.full(3, shade), material)
