# SPDX-License-Identifier: Apache-2.0
"""Cameras turned a little about their own centres, images and extrinsics together.

Turning a camera about its optical centre shows nothing new, so its image can be made exactly
from the old one, whatever the scene. Few turns are drawn and used again and again, so that the
sampling maps and the tables of the lift can be kept.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.datasets.prepared_bag import Sample
from bev_perception.geometry import PinholeCamera, Rig, RigCamera, RigidTransform

Turn = tuple[float, float, float]
"""Roll, pitch and yaw in radians about the axes of the optical frame, fixed-axis."""


def drawn_turns(variant: int, num_cameras: int, angle_deg: float) -> tuple[Turn, ...]:
    """The turns of one variant of a rig, each angle uniform within +-angle_deg."""
    random = np.random.default_rng((variant, num_cameras))
    angles = np.radians(angle_deg) * random.uniform(-1.0, 1.0, size=(num_cameras, 3))
    return tuple((float(x), float(y), float(z)) for x, y, z in angles)


def with_turned_cameras(sample: Sample, turns: tuple[Turn, ...]) -> Sample:
    """The sample that cameras turned by the given angles would have taken.

    What they would see beyond the edge of the old image is black.
    """
    cameras, images = {}, np.empty_like(sample.images)
    for index, (name, entry) in enumerate(sample.rig.cameras.items()):
        camera, turn = entry.camera, turns[index]
        map_u, map_v = _sampling_map(_key(camera), turn)
        cv2.remap(sample.images[index], map_u, map_v, cv2.INTER_LINEAR, dst=images[index])
        pose = entry.base_T_camera @ RigidTransform.from_euler(*turn)
        cameras[name] = RigCamera(camera, pose, entry.frame_id)
    return Sample(images, sample.present, Rig(cameras), sample.objects)


_CameraKey = tuple[int, int, tuple[float, ...], str, tuple[float, ...]]


def _key(camera: PinholeCamera) -> _CameraKey:
    matrix = tuple(float(value) for value in camera.matrix.ravel())
    return camera.width, camera.height, matrix, camera.distortion_model, camera.distortion


@lru_cache(maxsize=256)
def _sampling_map(key: _CameraKey, turn: Turn) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where each pixel of the turned image lies in the old one, for cv2.remap."""
    width, height, matrix, model, distortion = key
    camera = PinholeCamera(width, height, np.reshape(matrix, (3, 3)), model, distortion)
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    rays = camera.unproject(np.stack([columns, rows], axis=-1))
    pixels, valid = camera.project(RigidTransform.from_euler(*turn).rotate(rays))
    pixels[~valid] = -1e4
    return pixels[..., 0].astype(np.float32), pixels[..., 1].astype(np.float32)
