# SPDX-License-Identifier: Apache-2.0
"""Small rigs and configurations that the tests of this room share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bev_perception.geometry import BevGrid, PinholeCamera, Rig, RigCamera, RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.model import SegnetConfig

LENSES: dict[str, tuple[str, tuple[float, ...]]] = {
    "none": ("none", ()),
    "plumb_bob": ("plumb_bob", (-0.28, 0.07, 0.001, -0.0005, 0.0)),
    "fisheye": ("equidistant", (-0.02, 0.004, -0.001, 0.0)),
}


def small_config(**changes: Any) -> SegnetConfig:
    """32x48 images on a grid of 18 x 21 cells that is no multiple of anything."""
    values: dict[str, Any] = {
        "encoder": "light",
        "image_size": (32, 48),
        "heights_m": (0.0, 1.0),
        "grid": BevGrid(-9.0, -10.5, 1.0, 18, 21),
        "latent_dim": 6,
        "decoder_widths": (8, 12, 16),
        "light_widths": (8, 12, 16),
    }
    return SegnetConfig(**{**values, **changes})


def ring_rig(
    image_size: tuple[int, int],
    count: int = 4,
    lens: str = "none",
    horizontal_deg: float = 100.0,
    pitch: float = 0.1,
) -> Rig:
    """Cameras looking outwards all around, 1.6 m up, unequal in roll and position."""
    height, width = image_size
    model, coefficients = LENSES[lens]
    focal = width / (2.0 * math.tan(math.radians(horizontal_deg) / 2.0))
    camera = PinholeCamera.from_intrinsics(
        width, height, focal, 1.1 * focal, width / 2 - 0.7, height / 2 + 0.4, model, coefficients
    )
    cameras = {}
    for position in range(count):
        yaw = 2.0 * math.pi * position / count
        base_T_body = RigidTransform.from_euler(
            0.03 * position, pitch, yaw, (0.8 * math.cos(yaw), 0.6 * math.sin(yaw), 1.6)
        )
        cameras[f"camera{position}"] = RigCamera(camera, base_T_body @ BODY_T_OPTICAL)
    return Rig(cameras)


def random_images(config: SegnetConfig, cameras: int = 4, seed: int = 0) -> np.ndarray:
    """(S, H, W, 3) uint8."""
    generator = np.random.default_rng(seed)
    shape = (cameras, *config.image_size, 3)
    return generator.integers(0, 256, shape, dtype=np.uint8)
