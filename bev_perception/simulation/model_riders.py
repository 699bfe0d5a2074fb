# SPDX-License-Identifier: Apache-2.0
"""Pedestrians and riders on two wheels."""

from __future__ import annotations

import numpy as np

from bev_perception.simulation.model_parts import (
    DARK,
    HEADLIGHT,
    METAL,
    TAIL_LIGHT,
    WHITE,
    PartBuilder,
)
from bev_perception.simulation.scene import Material

SKIN = (0.48, 0.28, 0.19)
HAIR = (0.04, 0.025, 0.015)
TROUSERS = (0.045, 0.05, 0.08)
SHOES = (0.02, 0.02, 0.02)
HELMET = (0.70, 0.70, 0.68)


def build_pedestrian(phase: float = 0.0) -> PartBuilder:
    """A walker; phase in radians swings legs and arms, widest at 0."""
    build = PartBuilder()
    stride = np.cos(phase)
    hip_z, shoulder_z = 0.88, 1.43
    for side in (1.0, -1.0):
        swing = side * stride
        hip = np.array([0.0, side * 0.10, hip_z])
        foot = np.array([0.18 * swing - 0.055, side * 0.10, 0.07])
        knee = 0.5 * (hip + foot) + [0.05 + 0.02 * abs(stride), 0.0, 0.02]
        build.limb(hip, knee, 0.095, 0.07, TROUSERS)
        build.limb(knee, foot, 0.07, 0.05, TROUSERS)
        build.box(
            (foot[0] - 0.06, foot[1] - 0.045, 0.0), (foot[0] + 0.175, foot[1] + 0.045, 0.09), SHOES
        )
        shoulder = np.array([0.0, side * 0.215, shoulder_z - 0.05])
        hand = np.array([-0.20 * swing + 0.03, side * 0.255, 0.86])
        elbow = 0.5 * (shoulder + hand) + [-0.04, side * 0.015, 0.0]
        build.limb(shoulder, elbow, 0.06, 0.05, WHITE, Material.PAINT)
        build.limb(elbow, hand, 0.05, 0.04, WHITE, Material.PAINT)
        build.ellipsoid(hand, (0.045, 0.04, 0.06), SKIN, sides=6)
    _torso(build, (0.0, 0.0, hip_z - 0.03), (0.0, 0.0, shoulder_z), 0.20)
    build.limb((0, 0, 1.55), (0, 0, 1.40), 0.055, 0.065, SKIN)
    build.ellipsoid((0.01, 0, 1.62), (0.095, 0.08, 0.125), SKIN)
    build.ellipsoid((-0.012, 0, 1.645), (0.10, 0.088, 0.105), HAIR, from_z=-0.1)
    return build


def build_bicycle(size: tuple[float, float, float]) -> PartBuilder:
    """A cyclist on an upright bicycle."""
    length = size[0]
    build = PartBuilder()
    radius = 0.34
    rear, front = (-length / 2 + radius, 0.0, radius), (length / 2 - radius, 0.0, radius)
    for axle in (rear, front):
        _spoked_wheel(build, axle, radius, 0.035)
    seat, head, crank = (-0.28, 0.0, 0.92), (0.36, 0.0, 0.88), (-0.08, 0.0, 0.30)
    for start, end in ((rear, crank), (rear, seat), (seat, crank), (crank, head), (seat, head)):
        build.limb(end, start, 0.022, 0.022, METAL, sides=5)
    build.limb((0.33, 0, 1.02), front, 0.022, 0.02, METAL, sides=5)
    build.limb((0.30, 0.29, 1.04), (0.30, -0.29, 1.04), 0.018, 0.018, DARK, sides=5)
    build.box((-0.42, -0.08, 0.92), (-0.16, 0.08, 0.97), DARK)
    build.limb((-0.32, 0.0, 0.76), (-0.80, 0.0, 0.74), 0.035, 0.03, METAL, sides=4)
    build.box((-0.84, -0.03, 0.71), (-0.80, 0.03, 0.78), TAIL_LIGHT, Material.LIGHT)
    _rider(
        build,
        hip=(-0.27, 0.0, 1.02),
        shoulder=(0.02, 0.0, 1.46),
        hands=(0.30, 0.27, 1.06),
        knees=((0.10, 0.70), (0.02, 0.92)),
        feet=((-0.05, 0.14), (-0.10, 0.42)),
        helmet=WHITE,
    )
    return build


def build_motorcycle(size: tuple[float, float, float]) -> PartBuilder:
    """A motorcycle with its rider."""
    length = size[0]
    build = PartBuilder()
    radius = 0.31
    rear, front = (-length / 2 + radius, 0.0, radius), (length / 2 - radius, 0.0, radius)
    build.wheel(rear, radius, 0.17, both_sides=True)
    build.wheel(front, radius, 0.12, both_sides=True)
    build.limb((0.42, 0.0, 0.98), front, 0.05, 0.05, METAL, sides=6)
    build.box((-0.35, -0.17, 0.28), (0.30, 0.17, 0.62), DARK)
    build.ellipsoid((0.16, 0.0, 0.80), (0.34, 0.19, 0.17), WHITE, Material.PAINT)
    build.loft(
        [
            _section(x, low, high, half)
            for x, low, high, half in (
                (0.62, 0.72, 1.02, 0.13),
                (0.50, 0.62, 1.10, 0.22),
                (0.30, 0.55, 0.95, 0.20),
            )
        ],
        WHITE,
        Material.PAINT,
        40.0,
    )
    build.loft(
        [
            _section(x, low, high, half)
            for x, low, high, half in (
                (0.0, 0.62, 0.82, 0.15),
                (-0.45, 0.66, 0.84, 0.16),
                (-0.85, 0.80, 0.92, 0.09),
            )
        ],
        WHITE,
        Material.PAINT,
        40.0,
    )
    build.box((-0.55, -0.14, 0.82), (-0.02, 0.14, 0.88), DARK)
    build.box((0.58, -0.09, 0.82), (0.64, 0.09, 0.95), HEADLIGHT, Material.LIGHT)
    build.box((-0.90, -0.06, 0.80), (-0.84, 0.06, 0.90), TAIL_LIGHT, Material.LIGHT)
    build.limb((0.36, 0.39, 1.06), (0.36, -0.39, 1.06), 0.02, 0.02, DARK, sides=5)
    build.limb((-0.2, -0.22, 0.34), (-0.85, -0.24, 0.46), 0.05, 0.06, METAL, sides=7)
    _rider(
        build,
        hip=(-0.22, 0.0, 0.94),
        shoulder=(-0.02, 0.0, 1.38),
        hands=(0.34, 0.34, 1.06),
        knees=((0.22, 0.74), (0.22, 0.74)),
        feet=((-0.05, 0.32), (-0.05, 0.32)),
        helmet=HELMET,
    )
    return build


def _spoked_wheel(
    build: PartBuilder, center: tuple[float, float, float], radius: float, width: float
) -> None:
    """A thin tyre ring, open between rim and hub, with spokes."""
    middle = np.asarray(center)
    angle = np.linspace(0.0, 2 * np.pi, 17)
    rim = middle + radius * np.stack([np.sin(angle), np.zeros(17), np.cos(angle)], axis=1)
    inner = middle + 0.9 * (rim - middle)
    half = np.array([0.0, width / 2, 0.0])
    for a, b, c, d in zip(rim[:-1], rim[1:], inner[1:], inner[:-1], strict=True):
        build.polygon([a + half, a - half, b - half, b + half][::-1], DARK)
        build.polygon([d + half, d - half, c - half, c + half], DARK)
        build.polygon([a + half, b + half, c + half, d + half][::-1], DARK)
        build.polygon([a - half, b - half, c - half, d - half], DARK)
    for spoke in inner[:-1:2]:
        build.limb(spoke, middle, 0.008, 0.012, METAL, sides=3)


def _section(x: float, low: float, high: float, half: float) -> np.ndarray:
    ring = [
        (-0.7 * half, low),
        (0.7 * half, low),
        (half, 0.5 * (low + high)),
        (0.6 * half, high),
        (-0.6 * half, high),
        (-half, 0.5 * (low + high)),
    ]
    return np.array([(x, y, z) for y, z in ring])


def _torso(
    build: PartBuilder,
    hip: tuple[float, float, float],
    shoulder: tuple[float, float, float],
    half_width: float,
) -> None:
    low, high = np.asarray(hip), np.asarray(shoulder)
    angle = np.linspace(0.0, 2 * np.pi, 10, endpoint=False)
    rings = []
    for share, wide, deep in (
        (1.0, 0.35, 0.06),
        (0.96, 0.85, 0.10),
        (0.80, 1.0, 0.125),
        (0.45, 0.82, 0.11),
        (0.0, 0.88, 0.12),
    ):
        middle = low + share * (high - low)
        rings.append(
            middle
            + np.stack(
                [deep * np.cos(angle), wide * half_width * np.sin(angle), np.zeros(10)], axis=1
            )
        )
    build.loft(rings, WHITE, Material.PAINT, 60.0)


def _rider(
    build: PartBuilder,
    hip: tuple[float, float, float],
    shoulder: tuple[float, float, float],
    hands: tuple[float, float, float],
    knees: tuple[tuple[float, float], tuple[float, float]],
    feet: tuple[tuple[float, float], tuple[float, float]],
    helmet: tuple[float, float, float],
) -> None:
    """A seated person; knees and feet are (x, z) for left and right."""
    _torso(build, hip, shoulder, 0.19)
    material = Material.PAINT if helmet == WHITE else Material.PLAIN
    head = np.add(shoulder, (0.06, 0.0, 0.15))
    build.limb(head, np.asarray(shoulder) - [0, 0, 0.03], 0.05, 0.06, SKIN)
    build.ellipsoid(head, (0.10, 0.085, 0.115), SKIN)
    build.ellipsoid(head - (0.012, 0.0, -0.02), (0.135, 0.11, 0.12), helmet, material, from_z=-0.1)
    for index, side in enumerate((1.0, -1.0)):
        arm_top = np.add(shoulder, (0.0, side * 0.19, -0.06))
        hand = np.array([hands[0], side * hands[1], hands[2]])
        elbow = 0.5 * (arm_top + hand) + [0.0, side * 0.04, -0.07]
        build.limb(arm_top, elbow, 0.06, 0.05, WHITE, Material.PAINT)
        build.limb(elbow, hand, 0.05, 0.04, WHITE, Material.PAINT)
        leg_top = np.add(hip, (0.0, side * 0.10, 0.0))
        knee = np.array([knees[index][0], side * 0.16, knees[index][1]])
        foot = np.array([feet[index][0], side * 0.15, feet[index][1]])
        build.limb(leg_top, knee, 0.095, 0.07, TROUSERS)
        build.limb(knee, foot, 0.07, 0.05, TROUSERS)
        build.box(
            (foot[0] - 0.07, foot[1] - 0.045, foot[2] - 0.05),
            (foot[0] + 0.17, foot[1] + 0.045, foot[2] + 0.04),
            SHOES,
        )
