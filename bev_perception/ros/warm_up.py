# SPDX-License-Identifier: Apache-2.0
"""A first inference before the first image, so that the first set is as fast as the others."""

from __future__ import annotations

import math

import numpy as np

from bev_perception.geometry import BODY_T_OPTICAL, PinholeCamera, Rig, RigCamera, RigidTransform
from bev_perception.inference import Engine
from bev_perception.model import build_tap_table

_HEIGHT_M = 1.6
_FIELD_OF_VIEW_DEG = 90.0


def warm_up(engine: Engine, num_cameras: int) -> None:
    """Runs the network on black images of cameras that look all around.

    Raises:
        EngineError: the network does not run here.
    """
    height, width = engine.config.image_size
    camera = PinholeCamera.from_field_of_view(width, height, _FIELD_OF_VIEW_DEG)
    position = (0.0, 0.0, _HEIGHT_M)
    mountings = [
        RigidTransform.from_euler(yaw=2.0 * math.pi * index / num_cameras, translation=position)
        for index in range(num_cameras)
    ]
    rig = Rig(
        {
            f"camera{index}": RigCamera(camera, mounting @ BODY_T_OPTICAL)
            for index, mounting in enumerate(mountings)
        }
    )
    taps = build_tap_table(rig, engine.config, (True,) * num_cameras)
    engine.infer(np.zeros((num_cameras, height, width, 3), dtype=np.uint8), taps)
