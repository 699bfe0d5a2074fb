# SPDX-License-Identifier: Apache-2.0
"""Stored numbers to this project's frames, as a declaration says that they are meant.

The importer and the checks of every hypothesis go through these same functions, so what was
checked is what is imported. Frames: base_link, optical, and a gravity-aligned map.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from bev_perception.errors import BagError, BevError
from bev_perception.geometry import ObjectBox, PinholeCamera, Rig, RigCamera, RigidTransform
from bev_perception.geometry.axes import change_axes, invert_rigid
from bev_perception.geometry.class_names import object_class
from bev_perception.samples.declaration import METRES, Declaration
from bev_perception.samples.raw_sample import RawBoxes, RawSample


@dataclass(frozen=True, eq=False)
class BoxArrays:
    """N boxes in base_link.

    Attributes:
        rotations: (N, 3, 3), determinant -1 where the declaration does not fit.
        centers: (N, 3) metres.
        sizes: (N, 3) length, width, height in metres.
        velocities: (N, 3) metres per second in base_link, NaN where unknown.
        labels: (N,) members of OBJECT_CLASSES.
        ids: (N,).
        visibility: (N,) 0 to 1, NaN where unknown.
    """

    rotations: NDArray[np.float64]
    centers: NDArray[np.float64]
    sizes: NDArray[np.float64]
    velocities: NDArray[np.float64]
    labels: tuple[str, ...]
    ids: NDArray[np.int64]
    visibility: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.centers)

    @property
    def corners(self) -> NDArray[np.float64]:
        """(N, 8, 3) metres, in the order of ObjectBox.corners."""
        signs = [(x, y, z) for z in (-1, 1) for x, y in ((1, 1), (-1, 1), (-1, -1), (1, -1))]
        local = 0.5 * np.array(signs) * self.sizes[:, None]
        return local @ np.swapaxes(self.rotations, 1, 2) + self.centers[:, None]

    def boxes(self) -> tuple[ObjectBox, ...]:
        """The same as objects.

        Raises:
            BevError: a box is mirrored, or has an impossible size.
        """
        return tuple(
            ObjectBox(
                self.labels[i],
                int(self.ids[i]),
                RigidTransform(self.rotations[i], self.centers[i]),
                self.sizes[i],
                self.velocities[i],
                float(self.visibility[i]),
            )
            for i in range(len(self))
        )


def base_T_cameras(sample: RawSample, declaration: Declaration) -> NDArray[np.float64]:
    """(S, 4, 4) optical frames in base_link, mirrored where the declaration does not fit."""
    ego_T_cameras = _in_metres(sample.extrinsics, declaration)
    if declaration.extrinsics == "camera_T_ego":
        ego_T_cameras = invert_rigid(ego_T_cameras)
    told = change_axes(
        ego_T_cameras, (declaration.ego_axes, "body"), (declaration.camera_axes, "optical")
    )
    return _base_T_ego(declaration) @ told


def sample_rig(sample: RawSample, declaration: Declaration) -> Rig:
    """The cameras as mounted.

    Raises:
        BevError: a matrix is no rotation, or intrinsics make no camera; names the camera.
    """
    if len(sample.images) != len(declaration.cameras):
        raise BagError(
            f"{sample.name} has {len(sample.images)} cameras, the declaration names "
            f"{len(declaration.cameras)} ({', '.join(declaration.cameras)})"
        )
    height, width = sample.images.shape[1:3]
    cameras = {}
    for name, pose, matrix in zip(
        declaration.cameras, base_T_cameras(sample, declaration), sample.intrinsics
    ):
        matrix = matrix.copy()
        if declaration.first_pixel == "corner":
            matrix[:2, 2] -= 0.5
        try:
            mounting = RigidTransform.from_matrix(pose)
            camera = PinholeCamera(width, height, matrix)
        except BevError as error:
            raise type(error)(f"{sample.name}: camera {name}: {error}") from error
        cameras[name] = RigCamera(camera, mounting, f"{name}_optical_frame")
    return Rig(cameras)


def world_T_base(sample: RawSample, declaration: Declaration) -> NDArray[np.float64] | None:
    """(4, 4) ego pose in a world with z up, mirrored where the declaration does not fit."""
    if sample.pose is None:
        return None
    world_T_ego = _in_metres(sample.pose, declaration)
    if declaration.pose == "ego_T_world":
        world_T_ego = invert_rigid(world_T_ego)
    axes = (declaration.world_axes, "body"), (declaration.ego_axes, "body")
    return np.asarray(change_axes(world_T_ego, *axes) @ invert_rigid(_base_T_ego(declaration)))


def sample_points(sample: RawSample, declaration: Declaration) -> NDArray[np.float64] | None:
    """(V, 3) LiDAR points in base_link, metres."""
    if sample.points is None:
        return None
    homogeneous = np.tile(np.eye(4), (len(sample.points), 1, 1))
    homogeneous[:, :3, 3] = sample.points * METRES[declaration.length_unit]
    told = change_axes(homogeneous, (declaration.ego_axes, "body"), ("body", "body"))
    return np.asarray(told[:, :3, 3] + np.array(declaration.ego_origin))


def sample_boxes(sample: RawSample, declaration: Declaration) -> BoxArrays | None:
    """Boxes in base_link; None where the sample has none stored.

    Raises:
        BagError: boxes in the world without a pose, or angles in a camera's frame.
    """
    raw = sample.boxes
    if raw is None:
        return None
    base_T_frame, frame_axes = _frame_of_boxes(sample, raw, declaration)
    sizes = raw.sizes * METRES[declaration.length_unit]
    if declaration.box_sizes == "half":
        sizes = 2.0 * sizes
    if declaration.box_order == "wlh":
        sizes = sizes[:, [1, 0, 2]]
    poses = base_T_frame @ _frame_T_boxes(raw, declaration, frame_axes)
    rotations, centers = poses[:, :3, :3], poses[:, :3, 3]
    if declaration.box_origin == "bottom":
        centers = centers + 0.5 * sizes[:, 2:] * rotations[:, :, 2]
    return BoxArrays(
        rotations,
        centers,
        sizes,
        _velocities(raw, declaration, base_T_frame, frame_axes),
        _labels(raw, declaration),
        np.arange(len(raw.rows)) if raw.ids is None else raw.ids,
        raw.visibility,
    )


def rgb_images(sample: RawSample, declaration: Declaration) -> NDArray[np.uint8]:
    """(S, H, W, 3) uint8 RGB.

    Raises:
        BagError: values outside of what is declared.
    """
    images = sample.images
    if images.dtype != np.uint8:
        low, high = float(images.min()), float(images.max())
        least, most = {"0..255": (0, 255), "0..1": (0, 1), "-0.5..0.5": (-0.5, 0.5)}[
            declaration.image_values
        ]
        if low < least - 0.01 or high > most + 0.01 * (most - least):
            raise BagError(
                f"{sample.name}: pixels from {low:.3g} to {high:.3g}, but image_values says "
                f"{declaration.image_values}"
            )
        scale = 255.0 / (most - least)
        images = np.clip(np.rint((images.astype(np.float64) - least) * scale), 0, 255)
    images = images.astype(np.uint8)
    return images[..., ::-1] if declaration.image_channels == "bgr" else images


def _frame_of_boxes(
    sample: RawSample, raw: RawBoxes, declaration: Declaration
) -> tuple[NDArray[np.float64], str]:
    """(4, 4) of the boxes' frame in base_link, told in body or optical axes, and its axes."""
    if declaration.box_frame == "camera0":
        if raw.angles is not None:
            raise BagError(
                f"{sample.name}: boxes with angles in a camera's frame are ambiguous; store 4x4 "
                f"poses, or boxes in the ego frame"
            )
        return base_T_cameras(sample, declaration)[0], declaration.camera_axes
    if declaration.box_frame == "world":
        pose = world_T_base(sample, declaration)
        if pose is None:
            raise BagError(f"{sample.name}: boxes in the world, but no egopose is stored")
        return invert_rigid(pose), declaration.world_axes
    return _base_T_ego(declaration), declaration.ego_axes


def _frame_T_boxes(raw: RawBoxes, declaration: Declaration, frame_axes: str) -> NDArray[np.float64]:
    """(N, 4, 4): the frame in body axes (optical ones for a camera), the boxes in body axes."""
    target = "optical" if declaration.box_frame == "camera0" else "body"
    box_axes = declaration.box_axes
    if raw.angles is None:
        stored = raw.rows[:, 3:].reshape(-1, 4, 4)
        return change_axes(
            _in_metres(stored, declaration), (frame_axes, target), (box_axes, "body")
        )
    poses = np.tile(np.eye(4), (len(raw.rows), 1, 1))
    poses[:, :3, 3] = raw.rows[:, :3] * METRES[declaration.length_unit]
    poses = change_axes(poses, (frame_axes, target), (frame_axes, target))
    angles = np.radians(raw.angles) if declaration.box_angles == "degrees" else raw.angles
    if box_axes == "carla":
        angles = angles * np.array([1.0, -1.0, -1.0])
    if len(angles):
        poses[:, :3, :3] = Rotation.from_euler("xyz", angles).as_matrix()
    return poses


def _velocities(
    raw: RawBoxes,
    declaration: Declaration,
    base_T_frame: NDArray[np.float64],
    frame_axes: str,
) -> NDArray[np.float64]:
    target = "optical" if declaration.box_frame == "camera0" else "body"
    vectors = np.tile(np.eye(4), (len(raw.rows), 1, 1))
    vectors[:, :3, 3] = raw.velocities * METRES[declaration.length_unit]
    told = change_axes(vectors, (frame_axes, target), ("body", "body"))[:, :3, 3]
    return np.asarray(told @ base_T_frame[:3, :3].T)


def _labels(raw: RawBoxes, declaration: Declaration) -> tuple[str, ...]:
    if raw.labels is None:
        return (declaration.default_class,) * len(raw.rows)
    return tuple(object_class(name) if name else declaration.default_class for name in raw.labels)


def _in_metres(poses: NDArray[np.float64], declaration: Declaration) -> NDArray[np.float64]:
    scaled = np.array(poses, dtype=np.float64)
    scaled[..., :3, 3] *= METRES[declaration.length_unit]
    return scaled


def _base_T_ego(declaration: Declaration) -> NDArray[np.float64]:
    pose = np.eye(4)
    pose[:3, 3] = declaration.ego_origin
    return pose
