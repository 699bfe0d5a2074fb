# SPDX-License-Identifier: Apache-2.0
"""Meshes of everything that moves."""

from __future__ import annotations

from functools import cache

import numpy as np

from bev_perception.errors import ConfigurationError
from bev_perception.simulation.model_cars import SHAPES, build_car
from bev_perception.simulation.model_parts import PartBuilder
from bev_perception.simulation.model_riders import (
    build_bicycle,
    build_motorcycle,
    build_pedestrian,
)
from bev_perception.simulation.model_trucks import (
    build_box_truck,
    build_bus,
    build_tipper,
    build_van,
)
from bev_perception.simulation.scene import CATALOG, Mesh

GAIT_STEPS = 8
"""Number of meshes over one gait cycle of a model that walks."""

WALKING_MODELS = frozenset({"pedestrian"})


def gait_step(model: str, phase: float) -> int:
    """Which of the GAIT_STEPS meshes of a model shows a gait phase in radians."""
    if model not in WALKING_MODELS:
        return 0
    return int(np.floor(phase / (2 * np.pi) * GAIT_STEPS + 0.5)) % GAIT_STEPS


@cache
def object_mesh(model: str, step: int = 0) -> Mesh:
    """The mesh of a model.

    Args:
        model: key of CATALOG.
        step: gait step of a walking model, see gait_step.

    Returns:
        Triangles with the origin at the cuboid's centre, x forward, z up, that fill the
        model's size exactly; a walking model does so at step 0, its widest.

    Raises:
        ConfigurationError: no such model.
    """
    if model not in CATALOG:
        raise ConfigurationError(f"unknown model {model!r}, expected one of {', '.join(CATALOG)}")
    return _build(model, step).mesh(CATALOG[model].size, fit=step == 0)


def _build(model: str, step: int) -> PartBuilder:
    size = CATALOG[model].size
    if model in SHAPES:
        return build_car(model, size)
    if model in ("van", "delivery_van"):
        return build_van(size, has_side_windows=model == "van")
    if model == "pedestrian":
        return build_pedestrian(phase=2 * np.pi * step / GAIT_STEPS)
    builders = {
        "box_truck": build_box_truck,
        "tipper_truck": build_tipper,
        "city_bus": build_bus,
        "motorcycle": build_motorcycle,
        "bicycle": build_bicycle,
    }
    return builders[model](size)
