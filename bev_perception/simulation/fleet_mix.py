# SPDX-License-Identifier: Apache-2.0
"""Which models are on the road and at the kerb, and in which colours."""

from __future__ import annotations

import numpy as np

Color = tuple[float, float, float]

MOVING_MIX: dict[str, float] = {
    "sedan": 0.20, "hatchback": 0.17, "estate": 0.11, "suv": 0.15, "pickup": 0.05, "van": 0.06,
    "delivery_van": 0.05, "box_truck": 0.03, "tipper_truck": 0.02, "city_bus": 0.055,
    "motorcycle": 0.055, "bicycle": 0.05,
}  # fmt: skip
"""Shares among moving vehicles."""

PARKED_MIX: dict[str, float] = {
    "sedan": 0.26, "hatchback": 0.22, "estate": 0.14, "suv": 0.17, "pickup": 0.05, "van": 0.07,
    "delivery_van": 0.04, "motorcycle": 0.05,
}  # fmt: skip
"""Shares among parked vehicles; trucks need more room and are drawn apart."""

_CAR_PAINT: tuple[Color, ...] = (
    (0.75, 0.75, 0.74), (0.75, 0.75, 0.74), (0.42, 0.43, 0.45), (0.20, 0.21, 0.22),
    (0.08, 0.08, 0.09), (0.015, 0.015, 0.018), (0.02, 0.02, 0.02), (0.45, 0.02, 0.02),
    (0.25, 0.015, 0.02), (0.02, 0.06, 0.30), (0.03, 0.14, 0.42), (0.02, 0.10, 0.06),
    (0.35, 0.28, 0.18), (0.55, 0.38, 0.03), (0.50, 0.14, 0.02), (0.16, 0.24, 0.27),
)  # fmt: skip

_WORK_PAINT: tuple[Color, ...] = (
    (0.78, 0.78, 0.77), (0.78, 0.78, 0.77), (0.70, 0.48, 0.04), (0.04, 0.12, 0.40),
    (0.45, 0.03, 0.03), (0.25, 0.26, 0.27), (0.05, 0.22, 0.10),
)  # fmt: skip

_WORK_MODELS = frozenset({"van", "delivery_van", "box_truck", "tipper_truck", "city_bus"})


def draw_model(mix: dict[str, float], rng: np.random.Generator) -> str:
    """A model name, with the mix's shares as odds."""
    odds = np.array(list(mix.values()))
    return str(rng.choice(list(mix), p=odds / odds.sum()))


def draw_color(model: str, rng: np.random.Generator) -> Color:
    """Paint of a vehicle or clothes of a pedestrian, linear RGB."""
    if model in ("pedestrian", "bicycle"):
        base = rng.uniform(0.01, 0.55, 3) * rng.uniform(0.2, 1.0)
        return float(base[0]), float(base[1]), float(base[2])
    palette = _WORK_PAINT if model in _WORK_MODELS else _CAR_PAINT
    base = np.clip(np.array(palette[rng.integers(len(palette))]) * rng.uniform(0.8, 1.15), 0.0, 1.0)
    return float(base[0]), float(base[1]), float(base[2])
