# SPDX-License-Identifier: Apache-2.0
"""Which rows of a scaled image the network gets; see preparation.py."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bev_perception.geometry import RigCamera

SKY_SHARE = 0.25
"""Share of the prepared image's rows that cropping leaves above the horizon."""


@dataclass(frozen=True)
class RowLayout:
    """How one camera's rows come about.

    Attributes:
        scaled_height: rows after scaling to the network's width.
        top: first scaled row that is kept; negative when rows are added above.
    """

    scaled_height: int
    top: int

    def visible_rows(self, height: int) -> slice:
        """Rows of the prepared image that hold image, not the first or last one repeated."""
        return slice(max(0, -self.top), min(height, self.scaled_height - self.top))


def horizon_row(rig_camera: RigCamera) -> float | None:
    """Row at which the camera sees the level direction ahead of it; None if it does not.

    Level means the base frame's xy plane.
    """
    ahead = rig_camera.base_T_camera.rotation[:, 2].copy()
    ahead[2] = 0.0
    if np.linalg.norm(ahead) < 0.1:
        return None
    direction = rig_camera.base_T_camera.inverse().rotate(ahead)
    pixel, valid = rig_camera.camera.project(direction)
    return float(pixel[1]) if valid else None


def row_layout(rig_camera: RigCamera, height: int, width: int) -> RowLayout:
    """How the images of a camera come to the network's size."""
    camera = rig_camera.camera
    scaled_height = max(1, round(camera.height * width / camera.width))
    surplus = scaled_height - height
    if surplus <= 0:
        return RowLayout(scaled_height, -((-surplus) // 2))
    horizon = horizon_row(rig_camera)
    if horizon is None:
        return RowLayout(scaled_height, surplus // 2)
    scaled_horizon = (horizon + 0.5) * scaled_height / camera.height
    top = round(scaled_horizon - SKY_SHARE * height)
    return RowLayout(scaled_height, int(np.clip(top, 0, surplus)))


def laid_out_camera(rig_camera: RigCamera, layout: RowLayout, height: int, width: int) -> RigCamera:
    """Calibration of the images that a layout makes."""
    scaled = rig_camera.camera.resized(width, layout.scaled_height)
    cropped = scaled.cropped(0, layout.top, width, height)
    return RigCamera(cropped, rig_camera.base_T_camera, rig_camera.frame_id)
