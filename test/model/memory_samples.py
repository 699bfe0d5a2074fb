# SPDX-License-Identifier: Apache-2.0
"""Small networks with memory, drives and streams that tests of memory share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from bev_perception.geometry import BevGrid, RigidTransform
from bev_perception.geometry.planar import EgoMoment, PlanarPose
from bev_perception.model import SegnetConfig
from bev_perception.model.memory_config import MemoryConfig

SECOND = 1_000_000_000
GRID = BevGrid(-14.0, -16.0, 0.5, 60, 62)
"""Neither square nor centred."""


def memory_config(kind: str, **changes: Any) -> SegnetConfig:
    """A network whose images hardly matter."""
    return SegnetConfig(
        "light",
        (32, 48),
        (0.0,),
        GRID,
        4,
        (8, 8, 8),
        (8, 8, 8),
        feature_head=False,
        memory=MemoryConfig(kind, **changes),
    )


def random_pose(random: np.random.Generator, reach_m: float = 8.0) -> PlanarPose:
    return PlanarPose(*random.uniform(-reach_m, reach_m, 2), random.uniform(-math.pi, math.pi))


def rigid(pose: PlanarPose, z: float = 0.0) -> RigidTransform:
    return RigidTransform.from_euler(yaw=pose.yaw, translation=(pose.x, pose.y, z))


def at(seconds: float, x: float = 0.0, y: float = 0.0, yaw: float = 0.0) -> EgoMoment:
    return EgoMoment(round(seconds * SECOND), PlanarPose(x, y, yaw))


def blob(x: float, y: float, sigma_m: float = 1.0, channels: int = 4) -> torch.Tensor:
    """(1, channels, Y, X): a bump at a place in metres."""
    centers = GRID.cell_centers
    squared = (centers[..., 0] - x) ** 2 + (centers[..., 1] - y) ** 2
    bump = np.exp(-squared / (2.0 * sigma_m**2)).astype(np.float32)
    return torch.from_numpy(bump).expand(1, channels, -1, -1).clone()


def place_of(plane: torch.Tensor) -> tuple[float, float]:
    """Centre of mass of a plane (Y, X), x and y in metres."""
    weights = plane.double().clamp(min=0.0).numpy()
    weights = weights / weights.sum()
    x, y = (weights[..., None] * GRID.cell_centers).sum(axis=(0, 1))
    return float(x), float(y)
