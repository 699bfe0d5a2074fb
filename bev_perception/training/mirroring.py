# SPDX-License-Identifier: Apache-2.0
"""The world in a mirror: left and right exchanged, geometry still exact.

The mirror is the plane y = 0 of base_link. Its image of a camera is a camera with the picture
flipped left to right: the optical x axis changes sign together with base_link's y axis, so
the mirrored extrinsics are a right-handed rotation again.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bev_perception.geometry import ObjectBox, PinholeCamera, Rig, RigCamera, RigidTransform
from bev_perception.geometry.frames import points_from_carla
from bev_perception.geometry.window import Window

_MIRROR_X = np.diag([-1.0, 1.0, 1.0])
_MIRROR_Y = np.diag([1.0, -1.0, 1.0])


def mirrored_camera(camera: PinholeCamera) -> PinholeCamera:
    """Intrinsics of the horizontally flipped image: pixel u becomes width - 1 - u."""
    matrix = camera.matrix.copy()
    matrix[0, 1] = -camera.matrix[0, 1]
    matrix[0, 2] = camera.width - 1 - camera.cx
    distortion = list(camera.distortion)
    if camera.distortion_model in ("plumb_bob", "rational_polynomial") and distortion:
        distortion[3] = -distortion[3]  # p2, the tangential term along the optical x axis
    window = camera.window
    if window is not None:
        turn = _MIRROR_X @ window.real_R_turned @ _MIRROR_X
        window = Window(mirrored_camera(window.camera), turn)
    return replace(camera, matrix=matrix, distortion=tuple(distortion), window=window)


def mirrored_rig(rig: Rig) -> Rig:
    """The rig that would have taken the flipped images of the mirrored world.

    Names stay with their images: "left" then looks to the right.
    """
    return Rig({name: _mirrored_rig_camera(entry) for name, entry in rig.cameras.items()})


def mirrored_box(box: ObjectBox) -> ObjectBox:
    """The object at -y with the opposite heading; a cuboid is its own mirror image."""
    return replace(
        box, pose=_mirrored_pose(box.pose, _MIRROR_Y), velocity=points_from_carla(box.velocity)
    )


def mirrored_pose(world_T_base: RigidTransform) -> RigidTransform:
    """The pose of the mirrored vehicle in a world mirrored at its plane y = 0."""
    return _mirrored_pose(world_T_base, _MIRROR_Y)


def _mirrored_rig_camera(entry: RigCamera) -> RigCamera:
    pose = _mirrored_pose(entry.base_T_camera, _MIRROR_X)
    return RigCamera(mirrored_camera(entry.camera), pose, entry.frame_id)


def _mirrored_pose(base_T_local: RigidTransform, local_mirror: np.ndarray) -> RigidTransform:
    """Mirrors y of base_link and one axis of the local frame."""
    return RigidTransform(
        _MIRROR_Y @ base_T_local.rotation @ local_mirror, _MIRROR_Y @ base_T_local.translation
    )
