# SPDX-License-Identifier: Apache-2.0
"""Passenger cars: one parametric body, five silhouettes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bev_perception.simulation.model_parts import (
    DARK,
    GLASS,
    HEADLIGHT,
    METAL,
    PLATE,
    TAIL_LIGHT,
    WHITE,
    PartBuilder,
    body_ring,
)
from bev_perception.simulation.scene import Material


@dataclass(frozen=True)
class CarShape:
    """Proportions of a car.

    Attributes:
        deck: stations (share of length from the front, bottom and top as shares of the
            height, width as share of the full width) of the body below the windows.
        glass: shares of the length at which windscreen base, roof front, roof rear and
            rear window base lie.
        belt: height of the windows' lower edge, share of the height.
        pillars: shares of the length of the upright pillars between side windows.
        wheel_radius: metres.
        axles: shares of the length of the two axles.
        bed: share of the length where an open load bed begins, if there is one.
    """

    deck: tuple[tuple[float, float, float, float], ...]
    glass: tuple[float, float, float, float]
    belt: float
    pillars: tuple[float, ...]
    wheel_radius: float = 0.33
    axles: tuple[float, float] = (0.195, 0.785)
    bed: float | None = None


_NOSE = ((0.0, 0.22, 0.44, 0.80), (0.025, 0.16, 0.53, 0.93), (0.10, 0.14, 0.59, 0.99))

SHAPES = {
    "sedan": CarShape(
        (
            *_NOSE,
            (0.29, 0.13, 0.66, 1.0),
            (0.80, 0.13, 0.69, 1.0),
            (0.97, 0.16, 0.66, 0.95),
            (1.0, 0.24, 0.60, 0.86),
        ),
        (0.27, 0.43, 0.69, 0.86),
        0.65,
        (0.52, 0.70),
    ),
    "hatchback": CarShape(
        (
            *_NOSE,
            (0.26, 0.13, 0.66, 1.0),
            (0.88, 0.13, 0.70, 1.0),
            (0.985, 0.18, 0.66, 0.95),
            (1.0, 0.26, 0.58, 0.88),
        ),
        (0.24, 0.42, 0.84, 0.985),
        0.65,
        (0.56, 0.80),
        0.31,
        (0.19, 0.81),
    ),
    "estate": CarShape(
        (
            *_NOSE,
            (0.28, 0.13, 0.64, 1.0),
            (0.90, 0.13, 0.68, 1.0),
            (0.985, 0.17, 0.64, 0.95),
            (1.0, 0.25, 0.56, 0.88),
        ),
        (0.26, 0.41, 0.91, 0.985),
        0.63,
        (0.50, 0.68, 0.84),
    ),
    "suv": CarShape(
        (
            (0.0, 0.26, 0.50, 0.84),
            (0.02, 0.19, 0.58, 0.95),
            (0.09, 0.18, 0.63, 1.0),
            (0.26, 0.17, 0.67, 1.0),
            (0.90, 0.17, 0.69, 1.0),
            (0.985, 0.21, 0.66, 0.96),
            (1.0, 0.28, 0.60, 0.90),
        ),
        (0.25, 0.38, 0.89, 0.985),
        0.65,
        (0.49, 0.67, 0.83),
        0.38,
        (0.195, 0.80),
    ),
    "pickup": CarShape(
        (
            (0.0, 0.28, 0.50, 0.86),
            (0.02, 0.20, 0.57, 0.96),
            (0.09, 0.19, 0.61, 1.0),
            (0.25, 0.18, 0.64, 1.0),
            (0.60, 0.18, 0.65, 1.0),
            (0.995, 0.22, 0.64, 0.99),
            (1.0, 0.28, 0.62, 0.97),
        ),
        (0.24, 0.35, 0.57, 0.60),
        0.62,
        (0.44,),
        0.39,
        (0.18, 0.79),
        0.62,
    ),
}


def build_car(name: str, size: tuple[float, float, float]) -> PartBuilder:
    """The parts of one of SHAPES at size (length, width, height) in metres."""
    shape = SHAPES[name]
    length, width, height = size
    build = PartBuilder()
    half = width / 2 - 0.02
    rings = [
        body_ring((0.5 - x) * length, low * height, high * height, half * share)
        for x, low, high, share in shape.deck
    ]
    build.loft(rings, WHITE, Material.PAINT, 32.0)
    _cabin(build, shape, size)
    _wheels(build, shape, size)
    _details(build, shape, size)
    return build


def _cabin(build: PartBuilder, shape: CarShape, size: tuple[float, float, float]) -> None:
    """Windows all round under a painted roof."""
    length, width, height = size
    base_front, roof_front, roof_rear, base_rear = ((0.5 - x) * length for x in shape.glass)
    low, roof, top = shape.belt * height, 0.955 * height, height
    wide, narrow = 0.445 * width, 0.36 * width

    def level(z: float, front: float, rear: float, half: float) -> np.ndarray:
        return np.array([[front, -half, z], [front, half, z], [rear, half, z], [rear, -half, z]])

    bottom, upper = (
        level(low, base_front, base_rear, wide),
        level(roof, roof_front, roof_rear, narrow),
    )
    for start, end in ((0, 1), (1, 2), (2, 3), (3, 0)):
        build.polygon([bottom[start], bottom[end], upper[end], upper[start]], GLASS, Material.GLASS)
    crown = level(top, roof_front - 0.12, roof_rear + 0.12, narrow - 0.12)
    build.loft([crown, upper, upper - [0, 0, 0.06]], WHITE, Material.PAINT, 40.0)
    for share in shape.pillars:
        _pillar(build, shape, size, (0.5 - share) * length, 0.05)
    for lower_corner, upper_corner in zip(bottom, upper, strict=True):
        build.limb(upper_corner, lower_corner, 0.035, 0.05, WHITE, Material.PAINT, sides=4)


def _pillar(
    build: PartBuilder,
    shape: CarShape,
    size: tuple[float, float, float],
    x: float,
    half_length: float,
) -> None:
    """An upright painted strip over both side windows at x."""
    _, width, height = size
    low, high = shape.belt * height, 0.955 * height
    wide, narrow = 0.445 * width + 0.006, 0.36 * width + 0.006
    for side in (1.0, -1.0):
        strip = [
            (x + half_length, side * wide, low),
            (x - half_length, side * wide, low),
            (x - half_length * 0.8, side * narrow, high),
            (x + half_length * 0.8, side * narrow, high),
        ]
        build.polygon(strip if side > 0 else strip[::-1], WHITE, Material.PAINT)


def _wheels(build: PartBuilder, shape: CarShape, size: tuple[float, float, float]) -> None:
    length, width, _ = size
    angle = np.linspace(-0.12 * np.pi, 1.12 * np.pi, 14)
    for share in shape.axles:
        x = (0.5 - share) * length
        for side in (1.0, -1.0):
            outer = side * (width / 2 - 0.012)
            arch = np.stack(
                [
                    x + 1.17 * shape.wheel_radius * np.cos(angle),
                    np.full(14, outer),
                    shape.wheel_radius + 1.17 * shape.wheel_radius * np.sin(angle),
                ],
                axis=1,
            )
            build.polygon(arch if side < 0 else arch[::-1], DARK)
            center = (x, side * (width / 2 - 0.108), shape.wheel_radius)
            build.wheel(center, shape.wheel_radius, 0.20)


def _details(build: PartBuilder, shape: CarShape, size: tuple[float, float, float]) -> None:
    """Lights, grille, bumpers, plates, mirrors and door handles."""
    length, width, height = size
    front, rear = length / 2, -length / 2
    nose_high = shape.deck[0][2] * height
    tail_high = shape.deck[-1][2] * height
    nose_low, tail_low = shape.deck[0][1] * height, shape.deck[-1][1] * height
    half_front, half_rear = 0.5 * width * shape.deck[0][3], 0.5 * width * shape.deck[-1][3]
    lamp_y = (half_front - 0.36, half_front - 0.02)
    build.mirrored_box(
        (front - 0.20, lamp_y[0], nose_high - 0.10),
        (front + 0.005, lamp_y[1], nose_high + 0.03),
        HEADLIGHT,
        Material.LIGHT,
    )
    build.mirrored_box(
        (rear - 0.005, half_rear - 0.24, tail_high - 0.18),
        (rear + 0.15, half_rear + 0.0, tail_high - 0.01),
        TAIL_LIGHT,
        Material.LIGHT,
    )
    grille = half_front - 0.38
    build.box((front - 0.10, -grille, nose_high - 0.12), (front + 0.008, grille, nose_high), DARK)
    build.box(
        (front - 0.14, -half_front, nose_low - 0.04),
        (front + 0.006, half_front, nose_low + 0.1),
        DARK,
    )
    build.box(
        (rear - 0.006, -half_rear, tail_low - 0.05), (rear + 0.1, half_rear, tail_low + 0.1), DARK
    )
    build.box((front, -0.26, nose_low + 0.11), (front + 0.012, 0.26, nose_low + 0.22), PLATE)
    build.box((rear - 0.012, -0.26, tail_low + 0.14), (rear, 0.26, tail_low + 0.25), PLATE)
    belt = shape.belt * height
    mirror_x = (0.5 - shape.glass[0]) * length - 0.32
    build.mirrored_box(
        (mirror_x - 0.07, 0.45 * width, belt + 0.01),
        (mirror_x + 0.05, width / 2, belt + 0.14),
        WHITE,
        Material.PAINT,
    )
    for share in shape.pillars[:2]:
        x = (0.5 - share) * length
        build.mirrored_box(
            (x + 0.02, width / 2 - 0.03, belt - 0.13),
            (x + 0.18, width / 2 - 0.008, belt - 0.095),
            METAL,
        )
    if shape.bed is not None:
        _bed(build, shape.bed, size)


def _bed(build: PartBuilder, start: float, size: Sequence[float]) -> None:
    """The dark floor and raised rails of a pickup's open load bed."""
    length, width, height = size
    front, rear, top = (0.5 - start) * length, -length / 2 + 0.06, 0.66 * height
    inner = width / 2 - 0.14
    build.box((rear, -inner, top - 0.05), (front, inner, top - 0.01), DARK)
    build.mirrored_box(
        (rear, inner, top - 0.06), (front, width / 2 - 0.05, top + 0.03), WHITE, Material.PAINT
    )
    build.box(
        (rear - 0.04, -inner, top - 0.06), (rear + 0.02, inner, top + 0.03), WHITE, Material.PAINT
    )
