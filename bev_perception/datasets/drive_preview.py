# SPDX-License-Identifier: Apache-2.0
"""A picture of one set of a drive: boxes in the cameras and from above."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import BevGrid, FrameSet, ObjectBox, Rig
from bev_perception.geometry.frames import levelled
from bev_perception.visualization import bev_picture, camera_picture

PREVIEW_NAME = "preview.jpg"

_GRID = BevGrid(-50.0, -50.0, 0.5, 200, 200)
_CAMERAS_WIDTH, _MAX_HEIGHT = 1100, 760


def draw_preview(
    frame_set: FrameSet, rig: Rig, boxes: Sequence[ObjectBox], min_visibility: float
) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB: the cameras with the boxes that they see, beside them all from above.

    Args:
        frame_set: images.
        rig: that took them.
        boxes: in base_link, not levelled.
        min_visibility: boxes that are seen for less are left out of the cameras' pictures.
    """
    shown = [box for box in boxes if not box.visibility <= min_visibility]
    cameras = camera_picture(frame_set, rig, shown, row_width=_CAMERAS_WIDTH)
    if cameras.shape[0] > _MAX_HEIGHT:
        width = _CAMERAS_WIDTH * _MAX_HEIGHT // cameras.shape[0]
        cameras = camera_picture(frame_set, rig, shown, row_width=width)
    pose = frame_set.world_T_base
    above = boxes if pose is None else [box.transformed(levelled(pose)) for box in boxes]
    height = cameras.shape[0]
    view = bev_picture(_GRID, truth=above, width=height)
    if view.shape[0] != height:
        scale = height / view.shape[0]
        size = (round(view.shape[1] * scale), height)
        view = np.asarray(cv2.resize(view, size, interpolation=cv2.INTER_AREA), np.uint8)
    return np.concatenate([cameras, view], axis=1)
