# SPDX-License-Identifier: Apache-2.0
"""Vans, trucks and buses."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from bev_perception.simulation.model_fittings import (
    Size,
    axle_wheels,
    front_panel,
    lamps,
    mirrors,
    rear_panel,
    side_window,
    sloped_windscreen,
)
from bev_perception.simulation.model_parts import (
    DARK,
    GLASS,
    METAL,
    PLATE,
    TAIL_LIGHT,
    WHITE,
    PartBuilder,
    body_ring,
)
from bev_perception.simulation.scene import Material

CARGO_WHITE = (0.72, 0.72, 0.70)
BUS_SIGN = (0.95, 0.62, 0.08)


def build_van(size: Size, has_side_windows: bool) -> PartBuilder:
    """A one-box van with a short bonnet."""
    length, width, height = size
    build = PartBuilder()
    half = width / 2 - 0.02
    stations = (
        (0.0, 0.16, 0.34, 0.86),
        (0.02, 0.11, 0.42, 0.96),
        (0.11, 0.10, 0.50, 1.0),
        (0.16, 0.10, 0.56, 1.0),
        (0.29, 0.10, 0.95, 0.96),
        (0.40, 0.10, 1.0, 0.97),
        (0.98, 0.10, 0.995, 0.97),
        (1.0, 0.12, 0.97, 0.95),
    )
    rings = [
        body_ring((0.5 - x) * length, low * height, high * height, half * share, 0.16)
        for x, low, high, share in stations
    ]
    build.loft(rings, WHITE, Material.PAINT, 30.0)
    sloped_windscreen(
        build,
        (0.5 - 0.172) * length,
        0.60 * height,
        (0.5 - 0.272) * length,
        0.90 * height,
        0.86 * half,
        0.80 * half,
    )
    y = half + 0.004
    side_window(
        build,
        [
            ((0.5 - 0.20) * length, 0.57),
            ((0.5 - 0.36) * length, 0.57),
            ((0.5 - 0.36) * length, 0.82),
            ((0.5 - 0.275) * length, 0.82),
        ],
        y,
        height,
    )
    if has_side_windows:
        for front, rear in ((0.39, 0.64), (0.67, 0.93)):
            side_window(
                build,
                [
                    ((0.5 - front) * length, 0.57),
                    ((0.5 - rear) * length, 0.57),
                    ((0.5 - rear) * length, 0.82),
                    ((0.5 - front) * length, 0.82),
                ],
                y,
                height,
            )
    for low, high in ((-0.8, -0.06), (0.06, 0.8)):
        rear_panel(
            build, -length / 2 - 0.004, low * half, high * half, 0.58 * height, 0.86 * height
        )
    lamps(build, size, front_z=0.37 * height, rear_z=0.40 * height)
    axle_wheels(build, size, ((0.5 - 0.165) * length, (0.5 - 0.79) * length), 0.36)
    mirrors(build, (0.5 - 0.20) * length, 0.60 * height, width)
    return build


def build_box_truck(size: Size) -> PartBuilder:
    """A cab before a cargo box."""
    length, width, height = size
    build = PartBuilder()
    _truck_cab(build, size, cab_length=1.9, cab_height=min(2.75, 0.82 * height))
    box_front = length / 2 - 2.05
    wall = width / 2 - 0.02
    build.box((-length / 2 + 0.02, -wall, 1.02), (box_front, wall, height), CARGO_WHITE)
    build.mirrored_box(
        (-length / 2 + 0.3, wall - 0.01, 1.5),
        (box_front - 0.4, width / 2, 2.4),
        WHITE,
        Material.PAINT,
    )
    build.box((-length / 2, -0.02, 1.08), (-length / 2 + 0.03, 0.02, height - 0.06), METAL)
    for y in (-0.5, 0.5):
        build.box(
            (-length / 2, y - 0.02, 1.08), (-length / 2 + 0.03, y + 0.02, height - 0.06), METAL
        )
    _chassis(build, size, box_front)
    return build


def build_tipper(size: Size) -> PartBuilder:
    """A cab before an open trapezoid skip."""
    length, width, height = size
    build = PartBuilder()
    _truck_cab(build, size, cab_length=1.8, cab_height=0.93 * height)
    front, rear = length / 2 - 1.95, -length / 2 + 0.02
    half = width / 2
    inner_top, bottom, top = half - 0.12, 1.05, 0.86 * height
    ring = np.array([[-half + 0.25, bottom], [half - 0.25, bottom], [half, top], [-half, top]])
    ends = [np.column_stack([np.full(4, x), ring]) for x in (front, rear)]
    build.loft(ends, WHITE, Material.PAINT, 10.0)
    heap = (0.10, 0.075, 0.05)
    build.box((rear + 0.1, -inner_top, top), (front - 0.1, inner_top, top + 0.02), heap)
    build.ellipsoid(
        ((front + rear) / 2, 0, top),
        ((front - rear) / 2.4, 0.85 * inner_top, 0.25),
        heap,
        from_z=0.0,
    )
    build.box((front, -half, top), (front + 0.5, half, height), WHITE, Material.PAINT)
    for x in np.linspace(rear + 0.3, front - 0.3, 5):
        for side in (1.0, -1.0):
            build.limb(
                (x, side * (half - 0.02), top - 0.02),
                (x, side * (half - 0.24), bottom + 0.05),
                0.06,
                0.06,
                DARK,
                sides=4,
            )
    _chassis(build, size, front)
    return build


def build_bus(size: Size) -> PartBuilder:
    """A city bus: window bands, doors on the right, a sign above the windscreen."""
    length, width, height = size
    build = PartBuilder()
    half = width / 2 - 0.01
    stations = (
        (0.0, 0.12, 0.93, 0.94),
        (0.008, 0.10, 0.96, 1.0),
        (0.03, 0.10, 0.975, 1.0),
        (0.985, 0.10, 0.975, 1.0),
        (1.0, 0.12, 0.95, 0.96),
    )
    rings = [
        body_ring((0.5 - x) * length, low * height, high * height, half * share, 0.18)
        for x, low, high, share in stations
    ]
    build.loft(rings, WHITE, Material.PAINT, 30.0)
    build.box((-0.3 * length, -0.7, 0.96 * height), (-0.05 * length, 0.7, height), CARGO_WHITE)
    build.box((0.1 * length, -0.6, 0.96 * height), (0.2 * length, 0.6, 0.99 * height), CARGO_WHITE)
    front = length / 2
    front_panel(build, front + 0.012, -0.90 * half, 0.90 * half, 0.34 * height, 0.80 * height)
    build.box(
        (front - 0.02, -0.7 * half, 0.82 * height), (front + 0.015, 0.7 * half, 0.92 * height), DARK
    )
    build.box(
        (front, -0.5 * half, 0.84 * height),
        (front + 0.02, 0.5 * half, 0.90 * height),
        BUS_SIGN,
        Material.LIGHT,
    )
    rear_panel(build, -length / 2 - 0.006, -0.8 * half, 0.8 * half, 0.55 * height, 0.82 * height)
    edges = np.linspace(-0.47, 0.46, 9) * length
    for rear, ahead in pairwise(edges):
        window = [
            (ahead - 0.05, 0.40),
            (rear + 0.05, 0.40),
            (rear + 0.05, 0.80),
            (ahead - 0.05, 0.80),
        ]
        side_window(build, window, half + 0.004, height)
    for x in (0.40 * length, 0.0):
        y = -(half + 0.008)
        for offset in (0.0, 0.62):
            door = [
                (x + offset, 0.14),
                (x + offset + 0.56, 0.14),
                (x + offset + 0.56, 0.80),
                (x + offset, 0.80),
            ]
            build.polygon([(px, y, pz * height) for px, pz in door], GLASS, Material.GLASS)
    lamps(build, size, front_z=0.24 * height, rear_z=0.30 * height)
    axle_wheels(build, size, (0.5 * length - 2.7, -0.5 * length + 3.3), 0.48)
    mirrors(build, front - 0.05, 0.72 * height, width + 0.0)
    return build


def _truck_cab(build: PartBuilder, size: Size, cab_length: float, cab_height: float) -> None:
    length, width, _ = size
    front = length / 2
    half = width / 2 - 0.06
    stations = (
        (0.0, 0.55, 0.55, 0.95),
        (0.02, 0.42, 0.60, 0.99),
        (0.06, 0.40, 0.66, 1.0),
        (0.22, 0.40, 0.985, 0.97),
        (0.35, 0.40, 1.0, 0.97),
        (1.0, 0.45, 1.0, 0.97),
    )
    rings = []
    for x, low, high, share in stations:
        ring_low = low if x else 0.44
        rings.append(
            body_ring(front - x * cab_length, ring_low, high * cab_height, half * share, 0.14)
        )
    build.loft(rings, WHITE, Material.PAINT, 30.0)
    sloped_windscreen(
        build,
        front - 0.075 * cab_length,
        0.685 * cab_height,
        front - 0.205 * cab_length,
        0.945 * cab_height,
        0.86 * half,
        0.84 * half,
    )
    rear = front - 0.72 * cab_length
    window = [
        (front - 0.16 * cab_length, 0.60),
        (rear, 0.60),
        (rear, 0.88),
        (front - 0.26 * cab_length, 0.88),
    ]
    side_window(build, window, half + 0.004, cab_height)
    build.box((front - 0.05, -0.6 * half, 0.95), (front + 0.01, 0.6 * half, 1.3), DARK)
    build.box((front - 0.1, -half, 0.42), (front + 0.012, half, 0.72), DARK)
    lamps(build, size, front_z=0.62, rear_z=0.85)
    mirrors(build, front - 0.12 * cab_length, 0.70 * cab_height, width)


def _chassis(build: PartBuilder, size: Size, front: float) -> None:
    length, width, _ = size
    build.box((-length / 2 + 0.1, -0.45, 0.6), (front + 1.0, 0.45, 1.03), DARK)
    build.box(
        (-length / 2, -width / 2 + 0.1, 0.42), (-length / 2 + 0.08, width / 2 - 0.1, 0.56), DARK
    )
    build.box((-length / 2 - 0.004, -0.26, 0.60), (-length / 2 + 0.11, 0.26, 0.72), PLATE)
    build.mirrored_box((-0.5, width / 2 - 0.45, 0.5), (0.6, width / 2 - 0.08, 0.95), METAL)
    axle_wheels(build, size, (length / 2 - 1.2, -length / 2 + 1.7), 0.48)
    build.mirrored_box(
        (-length / 2 + 0.02, width / 2 - 0.5, 0.80),
        (-length / 2 + 0.1, width / 2 - 0.12, 0.95),
        TAIL_LIGHT,
        Material.LIGHT,
    )
