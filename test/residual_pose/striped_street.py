# SPDX-License-Identifier: Apache-2.0
"""A street of exact geometry: patterned ground inside a round wall with vertical stripes."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import (
    BODY_T_OPTICAL,
    CameraFrame,
    FrameSet,
    PinholeCamera,
    Rig,
    RigCamera,
    RigidTransform,
)

WALL_M, WALL_HIGH_M = 18.0, 9.0
CELL_M = 0.06
SPEED_M_S = 6.0
PERIOD_NS = 100_000_000
_CAMERA = PinholeCamera.from_field_of_view(480, 320, 100.0)
_MOUNTS = {
    "front": (1.9, 0.0, 0.0),
    "left": (1.2, 0.75, 90.0),
    "rear": (-0.5, 0.0, 180.0),
    "right": (1.2, -0.75, -90.0),
}


def street_rig() -> Rig:
    """Four cameras 1.6 m above the ground that look 5 degrees down."""
    cameras = {}
    for name, (x, y, yaw_deg) in _MOUNTS.items():
        body = RigidTransform.from_euler(0.0, math.radians(5.0), math.radians(yaw_deg), (x, y, 1.6))
        cameras[name] = RigCamera(_CAMERA, body @ BODY_T_OPTICAL, f"{name}_optical")
    return Rig(cameras)


def told_wrong(rig: Rig, roll_deg: float, pitch_deg: float, height_m: float) -> Rig:
    """The rig as told, off by a motion of the whole vehicle."""
    roll, pitch = math.radians(roll_deg), math.radians(pitch_deg)
    return rig.moved(RigidTransform.from_euler(roll, pitch, 0.0, (0.0, 0.0, height_m)))


def street_drive(num_sets: int, tilt_deg: tuple[float, float] = (0.0, 0.0)) -> list[FrameSet]:
    """Sets of a straight drive at 10 Hz.

    Args:
        num_sets: so many.
        tilt_deg: roll and pitch of the vehicle, which its pose knows.
    """
    rng = np.random.default_rng(5)
    ground = cv2.GaussianBlur(rng.integers(0, 256, (700, 700)).astype(np.float32), (0, 0), 1.5)
    ground = np.clip(110.0 + 2.5 * (ground - ground.mean()), 1, 255)
    stripes = np.repeat(rng.integers(40, 230, 90), 8).astype(np.float32)
    roll, pitch = np.radians(tilt_deg).tolist()
    sets = []
    for number in range(num_sets):
        x = SPEED_M_S * PERIOD_NS / 1e9 * (number - num_sets / 2)
        pose = RigidTransform.from_euler(roll, pitch, 0.0, (x, 0.0, 0.0))
        stamp_ns = (number + 1) * PERIOD_NS
        frames = {
            name: CameraFrame(name, stamp_ns, _image(pose @ entry.base_T_camera, ground, stripes))
            for name, entry in street_rig().cameras.items()
        }
        sets.append(FrameSet(stamp_ns, frames, world_T_base=pose))
    return sets


def _image(
    world_T_camera: RigidTransform, ground: NDArray[np.float32], stripes: NDArray[np.float32]
) -> NDArray[np.uint8]:
    columns, rows = np.meshgrid(np.arange(_CAMERA.width), np.arange(_CAMERA.height))
    rays = world_T_camera.rotate(_CAMERA.unproject(np.stack([columns, rows], axis=-1)))
    x, y, z = world_T_camera.translation
    across = rays[..., 0] ** 2 + rays[..., 1] ** 2
    inwards = x * rays[..., 0] + y * rays[..., 1]
    to_wall = np.sqrt(inwards**2 - across * (x * x + y * y - WALL_M**2))
    to_wall = (to_wall - inwards) / across
    to_ground = np.where(rays[..., 2] < 0.0, -z / np.minimum(rays[..., 2], -1e-9), np.inf)
    on_ground = to_ground < to_wall
    distance = np.where(on_ground, to_ground, to_wall)
    px, py = x + distance * rays[..., 0], y + distance * rays[..., 1]
    high = z + distance * rays[..., 2]
    u = (px / CELL_M + ground.shape[1] / 2).astype(np.float32)
    v = (py / CELL_M + ground.shape[0] / 2).astype(np.float32)
    image = cv2.remap(ground, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    share = (np.arctan2(py, px) / (2.0 * np.pi) + 0.5) * (len(stripes) - 1)
    wall = np.where(high < WALL_HIGH_M, stripes[share.astype(int)], 250.0)
    image = cv2.GaussianBlur(np.where(on_ground, image, wall).astype(np.float32), (0, 0), 0.8)
    gray = np.clip(image, 0, 255).astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=2)
