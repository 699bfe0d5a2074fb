# SPDX-License-Identifier: Apache-2.0
"""Do neighbouring cameras show the same things where both look?

Both images are turned to a view that lies between the cameras, in which things look alike, and
features are matched there. A match agrees when the two rays can meet: they lie in one plane
with the line between the cameras, and before both of them.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.doctor.geometry_direction import Flip
from bev_perception.geometry import BODY_T_OPTICAL, PinholeCamera, Rig, RigCamera, RigidTransform

_STEPS_DEG = np.arange(-60.0, 60.1, 1.0)
_FAR_M = 50.0
_LEAST_OVERLAP_DEG = 4.0
_MARGIN_DEG = 2.0
_TALL_DEG = 28.0
_FINENESS = 1.5
"""Pixels near the border of a wide image see less than those in the middle."""
_LARGEST_FOCAL_PX = 900.0
_FEATURES = 800
_CONTRAST = 0.02
_UNIQUE = 0.75
_BORDER_PX = 7
_PLANE_DEG = 1.5
_FAR_DEG = 2.0
_NEAREST_M = 0.5
_MIN_FEATURES = 3


class OverlapView(NamedTuple):
    """A view that two cameras share.

    Attributes:
        names: of the cameras.
        camera: ideal camera of the view.
        base_R_view: (3, 3) takes its rays to base_link.
    """

    names: tuple[str, str]
    camera: PinholeCamera
    base_R_view: NDArray[np.float64]


class Matches(NamedTuple):
    """Features that two cameras seem to share.

    Attributes:
        found: how many features look alike.
        agreeing: how many of them can be the same thing.
        off_deg: (agreeing,) degrees by which the second ray lies above the first one's plane.
    """

    found: int
    agreeing: int
    off_deg: NDArray[np.float64]


def overlap_views(rig: Rig) -> list[OverlapView]:
    """The views of all pairs of cameras that share at least four degrees of the horizon."""
    names = rig.names
    views = [
        _view(rig, (first, second))
        for index, first in enumerate(names)
        for second in names[index + 1 :]
    ]
    return [view for view in views if view is not None]


def match(
    view: OverlapView,
    images: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    entries: tuple[RigCamera, RigCamera],
    flips: tuple[Flip, Flip] = (Flip.NONE, Flip.NONE),
) -> Matches:
    """Matches features of two images of one moment.

    Args:
        view: of the two cameras.
        images: (H, W) grey images of both.
        entries: their calibrations.
        flips: how the images are supposed to have been turned.
    """
    sides = [_features(view, *each) for each in zip(images, entries, flips)]
    pairs = _alike(sides[0][1], sides[1][1])
    if not pairs:
        return Matches(0, 0, np.zeros(0))
    first, second = (
        _directions(view, sides[side][0][[pair[side] for pair in pairs]]) for side in (0, 1)
    )
    between = entries[1].base_T_camera.translation - entries[0].base_T_camera.translation
    off_deg, meets = _meeting(first, second, between)
    return Matches(len(pairs), int(meets.sum()), off_deg[meets])


def _view(rig: Rig, names: tuple[str, str]) -> OverlapView | None:
    looks = [rig[name].base_T_camera.rotation[:2, 2] for name in names]
    middle = looks[0] + looks[1]
    if np.linalg.norm(middle) < 0.3:
        return None  # they look in opposite directions
    yaw = math.atan2(middle[1], middle[0])
    turns = yaw + np.radians(_STEPS_DEG)
    points = np.stack([np.cos(turns), np.sin(turns), np.zeros_like(turns)], axis=-1) * _FAR_M
    shared = np.ones(len(turns), bool)
    for name in names:
        entry = rig[name]
        pixels, valid = entry.project(
            points + np.array([0.0, 0.0, entry.base_T_camera.translation[2]])
        )
        shared &= valid & entry.camera.contains(pixels)
    if shared.sum() < _LEAST_OVERLAP_DEG:
        return None
    low, high = turns[shared].min(), turns[shared].max()
    focal = _FINENESS * min(rig[name].camera.fx for name in names)
    focal = min(focal, _LARGEST_FOCAL_PX)
    width = 2.0 * focal * math.tan((high - low) / 2.0 + math.radians(_MARGIN_DEG))
    height = 2.0 * focal * math.tan(math.radians(_TALL_DEG))
    size = int(width), int(height)
    camera = PinholeCamera.from_intrinsics(
        *size, focal, focal, (size[0] - 1) / 2.0, (size[1] - 1) / 2.0
    )
    turn = RigidTransform.from_euler(0.0, 0.0, (low + high) / 2.0) @ BODY_T_OPTICAL
    return OverlapView(names, camera, turn.rotation)


@lru_cache(maxsize=1)
def _detector() -> Any:
    return cv2.SIFT_create(  # type: ignore[attr-defined]
        _FEATURES, contrastThreshold=_CONTRAST
    )


def _features(
    view: OverlapView, image: NDArray[np.uint8], entry: RigCamera, flip: Flip
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Places (n, 2) in the view and descriptors (n, 128) of what a camera shows there."""
    entry = entry.resized(image.shape[1], image.shape[0])
    columns, rows = np.meshgrid(np.arange(view.camera.width), np.arange(view.camera.height))
    rays = view.camera.unproject(np.stack([columns, rows], axis=-1))
    pixels, valid = entry.camera.project(
        rays @ (entry.base_T_camera.rotation.T @ view.base_R_view).T
    )
    valid = valid & entry.camera.contains(pixels)
    pixels = np.where(valid[..., None], pixels, -1e4).astype(np.float32)
    turned = cv2.remap(flip.undo(image), pixels[..., 0], pixels[..., 1], cv2.INTER_LINEAR)
    inside = cv2.erode(valid.astype(np.uint8), np.ones((_BORDER_PX, _BORDER_PX), np.uint8))
    points, descriptors = _detector().detectAndCompute(turned, inside)
    if descriptors is None:
        return np.zeros((0, 2)), np.zeros((0, 128), np.float32)
    return np.array([point.pt for point in points]), descriptors.astype(np.float32)


def _alike(first: NDArray[np.float32], second: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Indices of features that look alike and like no other (Lowe's ratio test)."""
    if min(len(first), len(second)) < _MIN_FEATURES:
        return []
    nearest = cv2.BFMatcher().knnMatch(first, second, k=2)
    return [
        (best.queryIdx, best.trainIdx)
        for best, other in nearest
        if best.distance < _UNIQUE * other.distance
    ]


def _directions(view: OverlapView, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors (n, 3) in base_link."""
    rays = view.camera.unproject(places) @ view.base_R_view.T
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def _meeting(
    first: NDArray[np.float64], second: NDArray[np.float64], between: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Degrees off the epipolar plane, and whether two rays meet before the cameras."""
    normals = np.cross(between, first)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    off_deg = np.degrees(np.arcsin(np.clip((second * normals).sum(axis=1), -1.0, 1.0)))
    across = np.cross(first, second)
    reach = (np.cross(between, second) * across).sum(axis=1)
    reach /= np.maximum((across**2).sum(axis=1), 1e-12)
    angle_deg = np.degrees(np.arccos(np.clip((first * second).sum(axis=1), -1.0, 1.0)))
    return off_deg, (abs(off_deg) < _PLANE_DEG) & ((angle_deg < _FAR_DEG) | (reach > _NEAREST_M))
