# SPDX-License-Identifier: Apache-2.0
"""Windows, lamps, wheels and mirrors of large vehicles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bev_perception.simulation.model_parts import (
    DARK,
    GLASS,
    HEADLIGHT,
    INDICATOR,
    PLATE,
    TAIL_LIGHT,
    PartBuilder,
)
from bev_perception.simulation.scene import Material

Size = tuple[float, float, float]


def axle_wheels(build: PartBuilder, size: Size, axles: Sequence[float], radius: float) -> None:
    """Wheels and dark arches at each of the axles (x in metres)."""
    width = size[1]
    angle = np.linspace(-0.12 * np.pi, 1.12 * np.pi, 14)
    for x in axles:
        for side in (1.0, -1.0):
            arch = np.stack(
                [
                    x + 1.15 * radius * np.cos(angle),
                    np.full(14, side * (width / 2 - 0.008)),
                    radius + 1.15 * radius * np.sin(angle),
                ],
                axis=1,
            )
            build.polygon(arch if side < 0 else arch[::-1], DARK)
            build.wheel((x, side * (width / 2 - 0.148), radius), radius, 0.28, hub_ratio=0.55)


def sloped_windscreen(
    build: PartBuilder,
    x_low: float,
    z_low: float,
    x_high: float,
    z_high: float,
    half_low: float,
    half_high: float,
) -> None:
    """A pane before a sloping front, just outside the body."""
    lift = 0.03
    build.polygon(
        [
            (x_low + lift, -half_low, z_low + lift),
            (x_low + lift, half_low, z_low + lift),
            (x_high + lift, half_high, z_high + lift),
            (x_high + lift, -half_high, z_high + lift),
        ],
        GLASS,
        Material.GLASS,
    )


def side_window(
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


def front_panel(
    build: PartBuilder, x: float, y_low: float, y_high: float, z_low: float, z_high: float
) -> None:
    """An upright pane that looks forward."""
    build.polygon(
        [(x, y_low, z_low), (x, y_high, z_low), (x, y_high, z_high), (x, y_low, z_high)],
        GLASS,
        Material.GLASS,
    )


def rear_panel(
    build: PartBuilder, x: float, y_low: float, y_high: float, z_low: float, z_high: float
) -> None:
    """An upright pane that looks back."""
    build.polygon(
        [(x, y_low, z_high), (x, y_high, z_high), (x, y_high, z_low), (x, y_low, z_low)],
        GLASS,
        Material.GLASS,
    )


def lamps(build: PartBuilder, size: Size, front_z: float, rear_z: float) -> None:
    """Headlights, indicators, tail lights and the rear plate."""
    length, width, _ = size
    front, rear, half = length / 2, -length / 2, width / 2 - 0.06
    build.mirrored_box(
        (front - 0.15, half - 0.36, front_z - 0.09),
        (front + 0.016, half - 0.04, front_z + 0.09),
        HEADLIGHT,
        Material.LIGHT,
    )
    build.mirrored_box(
        (front - 0.15, half - 0.05, front_z - 0.06),
        (front - 0.02, half + 0.03, front_z + 0.06),
        INDICATOR,
        Material.LIGHT,
    )
    build.mirrored_box(
        (rear - 0.008, half - 0.20, rear_z - 0.22),
        (rear + 0.08, half - 0.04, rear_z + 0.22),
        TAIL_LIGHT,
        Material.LIGHT,
    )
    build.box((rear - 0.01, -0.26, rear_z - 0.2), (rear + 0.02, 0.26, rear_z - 0.08), PLATE)


def mirrors(build: PartBuilder, x: float, z: float, width: float) -> None:
    """A mirror on both sides, out to the full width."""
    build.mirrored_box(
        (x - 0.12, width / 2 - 0.12, z - 0.02), (x - 0.04, width / 2, z + 0.26), DARK
    )
