# SPDX-License-Identifier: Apache-2.0
"""Writes drives in the seed's layout, in any convention, without the code that reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bev_perception.geometry import (
    OPTICAL_T_BODY,
    FrameSet,
    ObjectBox,
    Rig,
    RigidTransform,
    pose_to_carla_matrix,
)
from bev_perception.samples import Declaration

MIRROR = np.diag([1.0, -1.0, 1.0, 1.0])
ROW_KINDS = ("matrix", "yaw", "rpy")


def sample_arrays(
    frame_set: FrameSet,
    rig: Rig,
    objects: Sequence[ObjectBox],
    says: Declaration,
    rows: str = "matrix",
    dtype: Any = np.float64,
    padding: int = 0,
) -> dict[str, np.ndarray]:
    """imgs, rots, trans, intrins, lrtlist_velo, vislist, tidlist, scorelist, egopose, stamp_ns."""
    base_T_ego = RigidTransform(np.eye(3), np.array(says.ego_origin))
    ego_T_base = base_T_ego.inverse()
    extrinsics = [
        in_axes(ego_T_base @ rig[name].base_T_camera, says.ego_axes, says.camera_axes)
        for name in rig.names
    ]
    if says.extrinsics == "camera_T_ego":
        extrinsics = [np.linalg.inv(each) for each in extrinsics]
    stacked = np.stack(extrinsics)
    intrinsics = np.tile(np.eye(4), (len(rig), 1, 1))
    for index, name in enumerate(rig.names):
        intrinsics[index, :3, :3] = rig[name].camera.matrix
        intrinsics[index, :2, 2] += 0.5 * (says.first_pixel == "corner")
    arrays = {
        "imgs": image_values(frame_set, rig, says),
        "rots": stacked[:, :3, :3],
        "trans": metres_to(stacked[:, :3, 3], says),
        "intrins": intrinsics,
        "lrtlist_velo": box_rows(frame_set, rig, objects, says, rows),
        "vislist": np.array([box.visibility for box in objects]),
        "tidlist": np.array([box.object_id for box in objects], dtype=np.int64),
        "scorelist": np.ones(len(objects)),
        "labels": np.array([box.label for box in objects], dtype=str),
    }
    if padding:
        missing = padding - len(objects)
        for key in ("lrtlist_velo", "vislist", "tidlist", "scorelist", "labels"):
            extra = [(0, missing)] + [(0, 0)] * (arrays[key].ndim - 1)
            arrays[key] = np.pad(arrays[key], extra)
        arrays["tidlist"][len(objects) :] = -1
    if frame_set.world_T_base is not None:
        pose = in_axes(frame_set.world_T_base @ base_T_ego, says.world_axes, says.ego_axes)
        pose = np.linalg.inv(pose) if says.pose == "ego_T_world" else pose
        pose[:3, 3] = metres_to(pose[:3, 3], says)
        arrays["egopose"] = pose
    result = {
        key: value.astype(dtype) if value.dtype == np.float64 else value
        for key, value in arrays.items()
    }
    result["stamp_ns"] = np.array(frame_set.stamp_ns, dtype=np.int64)
    return result


def in_axes(a_T_b: RigidTransform, a_axes: str, b_axes: str) -> np.ndarray:
    """(4, 4) of a pose whose a is a body frame; b is an optical frame if it is to be optical,
    or is one that is wanted otherwise (cameras), else a body frame."""
    is_camera = abs(a_T_b.rotation[2, 2]) < 0.5  # a camera's z axis is level, a body's is up
    if is_camera and b_axes != "optical":
        a_T_b = a_T_b @ OPTICAL_T_BODY
    if a_axes == "carla" and b_axes == "carla":
        return pose_to_carla_matrix(a_T_b)
    matrix = a_T_b.matrix
    matrix = MIRROR @ matrix if a_axes == "carla" else matrix
    return matrix @ MIRROR if b_axes == "carla" else matrix


def box_rows(frame_set, rig, objects, says, rows) -> np.ndarray:
    """(N, 19), (N, 7) or (N, 9)."""
    frame = {
        "ego": RigidTransform(np.eye(3), -np.array(says.ego_origin)),
        "world": frame_set.world_T_base,
        "camera0": rig[rig.names[0]].base_T_camera.inverse(),
    }[says.box_frame]
    axes = {"ego": says.ego_axes, "world": says.world_axes, "camera0": says.camera_axes}
    axes = axes[says.box_frame]
    made = []
    for box in objects:
        size = box.size[[1, 0, 2]] if says.box_order == "wlh" else box.size
        size = metres_to(size / 2 if says.box_sizes == "half" else size, says)
        pose = frame @ box.pose
        if says.box_origin == "bottom":
            pose = pose @ RigidTransform(np.eye(3), np.array([0, 0, -box.size[2] / 2]))
        matrix = pose.matrix
        if says.box_frame == "camera0":
            matrix = matrix if axes == "optical" else OPTICAL_T_BODY.inverse().matrix @ matrix
        matrix = MIRROR @ matrix if axes == "carla" else matrix
        position = metres_to(matrix[:3, 3], says)
        if rows == "matrix":
            matrix = matrix @ MIRROR if says.box_axes == "carla" else matrix.copy()
            matrix[:3, 3] = position
            made.append(np.concatenate([size, matrix.ravel()]))
            continue
        angles = pose.euler * (np.array([1, -1, -1]) if says.box_axes == "carla" else 1)
        angles = np.degrees(angles) if says.box_angles == "degrees" else angles
        made.append(np.concatenate([position, size, angles if rows == "rpy" else angles[2:]]))
    columns = {"matrix": 19, "yaw": 7, "rpy": 9}[rows]
    return np.array(made).reshape(-1, columns)


def image_values(frame_set: FrameSet, rig: Rig, says: Declaration) -> np.ndarray:
    """(S, 3, H, W)."""
    images = np.stack([frame_set.frames[name].image for name in rig.names])
    images = images[..., ::-1] if says.image_channels == "bgr" else images
    images = np.moveaxis(images, -1, 1)
    if says.image_values == "0..255":
        return images
    return images / 255.0 - (0.5 if says.image_values == "-0.5..0.5" else 0.0)


def metres_to(values: np.ndarray, says: Declaration) -> np.ndarray:
    """In the declared unit."""
    return values * {"m": 1.0, "cm": 100.0}[says.length_unit]


def write_drive(folder: Path, sets, rig: Rig, says: Declaration, **options: Any) -> Path:
    """One .npz per set, below a data folder with its declaration."""
    drive = folder / "drive_0"
    drive.mkdir(parents=True)
    for index, simulated in enumerate(sets):
        arrays = sample_arrays(simulated.frame_set, rig, simulated.objects, says, **options)
        np.savez(drive / f"{index:06d}.npz", **arrays)
    (folder / "layout.yaml").write_text(says.to_yaml())
    return folder
