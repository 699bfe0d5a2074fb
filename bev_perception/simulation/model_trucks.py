# SPDX-License-Identifier: Apache-2.0
"""Vans, trucks and buses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bev_perception.simulation.model_parts import (
    DARK,
    GLASS,
    HEADLIGHT,
    INDICATOR,
    METAL,
    PLATE,
    TAIL_LIGHT,
    WHITE,
    PartBuilder,
    body_ring,
)
from bev_perception.simulation.scene import Material

Size = tuple[float, float, float]
CARGO_WHITE = (0.72, 0.72, 0.70)
BUS_SIGN = (0.95, 0.62, 0.08)


def build_van(size: Size, has_side_windows: bool) -> PartBuilder:
    """A one-box van with a short bonnet."""
    length, width, height = size
    build = PartBuilder()
    half = width / 2 - 0.02
    stations = (
        (0.0, 0.16, 0.34, 0.86), (0.02, 0.11, 0.42, 0.96), (0.11, 0.10, 0.50, 1.0),
        (0.16, 0.10, 0.56, 1.0), (0.29, 0.10, 0.95, 0.96), (0.40, 0.10, 1.0, 0.97),
        (0.98, 0.10, 0.995, 0.97), (1.0, 0.12, 0.97, 0.95),
    )
    rings = [
        body_ring((0.5 - x) * length, low * height, high * height, half * share, 0.16)
        for x, low, high, share in stations
    ]
    build.loft(rings, WHITE, Material.PAINT, 30.0)
    _sloped_windscreen(
        build, (0.5 - 0.172) * length, 0.60 * height, (0.5 - 0.272) * length, 0.90 * height,
        0.86 * half, 0.80 * half,
    )
    y = half + 0.004
    _side_window(build, [((0.5 - 0.20) * length, 0.57), ((0.5 - 0.36) * length, 0.57),
                         ((0.5 - 0.36) * length, 0.82), ((0.5 - 0.275) * length, 0.82)], y, height)
    if has_side_windows:
        for front, rear in ((0.39, 0.64), (0.67, 0.93)):
            _side_window(build, [((0.5 - front) * length, 0.57), ((0.5 - rear) * length, 0.57),
                                 ((0.5 - rear) * length, 0.82), ((0.5 - front) * length, 0.82)],
                         y, height)
    for low, high in ((-0.8, -0.06), (0.06, 0.8)):
        _rear_panel(build, -length / 2 - 0.004, low * half, high * half, 0.58 * height, 0.86 * height)
    _lamps(build, size, front_z=0.37 * height, rear_z=0.40 * height)
    _axle_wheels(build, size, ((0.5 - 0.165) * length, (0.5 - 0.79) * length), 0.36)
    _mirrors(build, (0.5 - 0.20) * length, 0.60 * height, width)
    return build


def build_box_truck(size: Size) -> PartBuilder:
    """A cab before a cargo box."""
    length, width, height = size
    build = PartBuilder()
    _truck_cab(build, size, cab_length=1.9, cab_height=min(2.75, 0.82 * height))
    box_front = length / 2 - 2.05
    wall = width / 2 - 0.02
    build.box((-length / 2 + 0.02, -wall, 1.02), (box_front, wall, height), CARGO_WHITE)
    build.mirrored_box((-length / 2 + 0.3, wall - 0.01, 1.5), (box_front - 0.4, width / 2, 2.4),
                       WHITE, Material.PAINT)
    build.box((-length / 2, -0.02, 1.08), (-length / 2 + 0.03, 0.02, height - 0.06), METAL)
    for y in (-0.5, 0.5):
        build.box((-length / 2, y - 0.02, 1.08), (-length / 2 + 0.03, y + 0.02, height - 0.06), METAL)
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
    build.ellipsoid(((front + rear) / 2, 0, top), ((front - rear) / 2.4, 0.85 * inner_top, 0.25), heap,
                    from_z=0.0)
    build.box((front, -half, top), (front + 0.5, half, height), WHITE, Material.PAINT)
    for x in np.linspace(rear + 0.3, front - 0.3, 5):
        for side in (1.0, -1.0):
            build.limb((x, side * (half - 0.02), top - 0.02), (x, side * (half - 0.24), bottom + 0.05),
                       0.06, 0.06, DARK, sides=4)
    _chassis(build, size, front)
    return build


def build_bus(size: Size) -> PartBuilder:
    """A city bus: window bands, doors on the right, a sign above the windscreen."""
    length, width, height = size
    build = PartBuilder()
    half = width / 2 - 0.01
    stations = ((0.0, 0.12, 0.93, 0.94), (0.008, 0.10, 0.96, 1.0), (0.03, 0.10, 0.975, 1.0),
                (0.985, 0.10, 0.975, 1.0), (1.0, 0.12, 0.95, 0.96))
    rings = [
        body_ring((0.5 - x) * length, low * height, high * height, half * share, 0.18)
        for x, low, high, share in stations
    ]
    build.loft(rings, WHITE, Material.PAINT, 30.0)
    build.box((-0.3 * length, -0.7, 0.96 * height), (-0.05 * length, 0.7, height), CARGO_WHITE)
    build.box((0.1 * length, -0.6, 0.96 * height), (0.2 * length, 0.6, 0.99 * height), CARGO_WHITE)
    front = length / 2
    _front_panel(build, front + 0.012, -0.90 * half, 0.90 * half, 0.34 * height, 0.80 * height)
    build.box((front - 0.02, -0.7 * half, 0.82 * height), (front + 0.015, 0.7 * half, 0.92 * height), DARK)
    build.box((front, -0.5 * half, 0.84 * height), (front + 0.02, 0.5 * half, 0.90 * height), BUS_SIGN,
              Material.LIGHT)
    _rear_panel(build, -length / 2 - 0.006, -0.8 * half, 0.8 * half, 0.55 * height, 0.82 * height)
    edges = np.linspace(-0.47, 0.46, 9) * length
    for rear, ahead in zip(edges[:-1], edges[1:], strict=True):
        window = [(ahead - 0.05, 0.40), (rear + 0.05, 0.40), (rear + 0.05, 0.80), (ahead - 0.05, 0.80)]
        _side_window(build, window, half + 0.004, height)
    for x in (0.40 * length, 0.0):
        y = -(half + 0.008)
        for offset in (0.0, 0.62):
            door = [(x + offset, 0.14), (x + offset + 0.56, 0.14), (x + offset + 0.56, 0.80),
                    (x + offset, 0.80)]
            build.polygon([(px, y, pz * height) for px, pz in door], GLASS, Material.GLASS)
    _lamps(build, size, front_z=0.24 * height, rear_z=0.30 * height)
    _axle_wheels(build, size, (0.5 * length - 2.7, -0.5 * length + 3.3), 0.48)
    _mirrors(build, front - 0.05, 0.72 * height, width + 0.0)
    return build


def _truck_cab(build: PartBuilder, size: Size, cab_length: float, cab_height: float) -> None:
    length, width, _ = size
    front = length / 2
    half = width / 2 - 0.06
    stations = ((0.0, 0.55, 0.55, 0.95), (0.02, 0.42, 0.60, 0.99), (0.06, 0.40, 0.66, 1.0),
                (0.22, 0.40, 0.985, 0.97), (0.35, 0.40, 1.0, 0.97), (1.0, 0.45, 1.0, 0.97))
    rings = []
    for x, low, high, share in stations:
        ring_low = low if x else 0.44
        rings.append(body_ring(front - x * cab_length, ring_low, high * cab_height, half * share, 0.14))
    build.loft(rings, WHITE, Material.PAINT, 30.0)
    _sloped_windscreen(build, front - 0.075 * cab_length, 0.685 * cab_height,
                       front - 0.205 * cab_length, 0.945 * cab_height, 0.86 * half, 0.84 * half)
    rear = front - 0.72 * cab_length
    window = [(front - 0.16 * cab_length, 0.60), (rear, 0.60), (rear, 0.88),
              (front - 0.26 * cab_length, 0.88)]
    _side_window(build, window, half + 0.004, cab_height)
    build.box((front - 0.05, -0.6 * half, 0.95), (front + 0.01, 0.6 * half, 1.3), DARK)
    build.box((front - 0.1, -half, 0.42), (front + 0.012, half, 0.72), DARK)
    _lamps(build, size, front_z=0.62, rear_z=0.85)
    _mirrors(build, front - 0.12 * cab_length, 0.70 * cab_height, width)


def _chassis(build: PartBuilder, size: Size, front: float) -> None:
    length, width, _ = size
    build.box((-length / 2 + 0.1, -0.45, 0.6), (front + 1.0, 0.45, 1.03), DARK)
    build.box((-length / 2, -width / 2 + 0.1, 0.42), (-length / 2 + 0.08, width / 2 - 0.1, 0.56), DARK)
    build.box((-length / 2 - 0.004, -0.26, 0.60), (-length / 2 + 0.11, 0.26, 0.72), PLATE)
    build.mirrored_box((-0.5, width / 2 - 0.45, 0.5), (0.6, width / 2 - 0.08, 0.95), METAL)
    _axle_wheels(build, size, (length / 2 - 1.2, -length / 2 + 1.7), 0.48)
    build.mirrored_box((-length / 2 + 0.02, width / 2 - 0.5, 0.80),
                       (-length / 2 + 0.1, width / 2 - 0.12, 0.95), TAIL_LIGHT, Material.LIGHT)


def _axle_wheels(build: PartBuilder, size: Size, axles: Sequence[float], radius: float) -> None:
    width = size[1]
    angle = np.linspace(-0.12 * np.pi, 1.12 * np.pi, 14)
    for x in axles:
        for side in (1.0, -1.0):
            arch = np.stack(
                [x + 1.15 * radius * np.cos(angle), np.full(14, side * (width / 2 - 0.008)),
                 radius + 1.15 * radius * np.sin(angle)], axis=1,
            )
            build.polygon(arch if side < 0 else arch[::-1], DARK)
            build.wheel((x, side * (width / 2 - 0.148), radius), radius, 0.28, hub_ratio=0.55)


def _sloped_windscreen(
    build: PartBuilder, x_low: float, z_low: float, x_high: float, z_high: float,
    half_low: float, half_high: float,
) -> None:
    lift = 0.03
    build.polygon(
        [(x_low + lift, -half_low, z_low + lift), (x_low + lift, half_low, z_low + lift),
         (x_high + lift, half_high, z_high + lift), (x_high + lift, -half_high, z_high + lift)],
        GLASS, Material.GLASS,
    )


def _side_window(
    build: PartBuilder, outline: Sequence[tuple[float, float]], y: float, height: float
) -> None:
    """A pane on both sides; outline (x, share of height) from front low, to the rear, up."""
    left = [(x, y, z * height) for x, z in outline]
    build.polygon(left[::-1] if _turns_inward(left) else left, GLASS, Material.GLASS)
    right = [(x, -y, z) for x, y_, z in left]
    build.polygon(right if _turns_inward(left) else right[::-1], GLASS, Material.GLASS)


def _turns_inward(left: Sequence[tuple[float, float, float]]) -> bool:
    points = np.asarray(left)
    normal = np.cross(points[1] - points[0], points[2] - points[0])
    return bool(normal[1] < 0)


def _front_panel(
    build: PartBuilder, x: float, y_low: float, y_high: float, z_low: float, z_high: float
) -> None:
    build.polygon(
        [(x, y_low, z_low), (x, y_high, z_low), (x, y_high, z_high), (x, y_low, z_high)],
        GLASS, Material.GLASS,
    )


def _rear_panel(
    build: PartBuilder, x: float, y_low: float, y_high: float, z_low: float, z_high: float
) -> None:
    build.polygon(
        [(x, y_low, z_high), (x, y_high, z_high), (x, y_high, z_low), (x, y_low, z_low)],
        GLASS, Material.GLASS,
    )


def _lamps(build: PartBuilder, size: Size, front_z: float, rear_z: float) -> None:
    length, width, _ = size
    front, rear, half = length / 2, -length / 2, width / 2 - 0.06
    build.mirrored_box((front - 0.15, half - 0.36, front_z - 0.09), (front + 0.016, half - 0.04, front_z + 0.09),
                       HEADLIGHT, Material.LIGHT)
    build.mirrored_box((front - 0.15, half - 0.05, front_z - 0.06), (front - 0.02, half + 0.03, front_z + 0.06),
                       INDICATOR, Material.LIGHT)
    build.mirrored_box((rear - 0.008, half - 0.20, rear_z - 0.22), (rear + 0.08, half - 0.04, rear_z + 0.22),
                       TAIL_LIGHT, Material.LIGHT)
    build.box((rear - 0.01, -0.26, rear_z - 0.2), (rear + 0.02, 0.26, rear_z - 0.08), PLATE)


def _mirrors(build: PartBuilder, x: float, z: float, width: float) -> None:
    build.mirrored_box((x - 0.12, width / 2 - 0.12, z - 0.02), (x - 0.04, width / 2, z + 0.26), DARK)
