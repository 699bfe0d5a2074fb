# SPDX-License-Identifier: Apache-2.0
"""What two consecutive images of a camera tell about how it is mounted."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.doctor.geometry_ground import ground_tracks
from bev_perception.doctor.image_lines import line_segments
from bev_perception.doctor.image_tracks import Tracks, feature_tracks
from bev_perception.geometry import RigCamera, RigidTransform

LARGEST_WIDTH = 800
"""Wider images are made smaller: more pixels cost time and tell little more."""

_NO_TRACKS = Tracks(np.zeros((0, 2)), np.zeros((0, 2)))


def _up() -> NDArray[np.float64]:
    return np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, eq=False)
class ImagePair:
    """What was seen in an image and the camera's next one, whatever its calibration.

    Attributes:
        first, second: (H, W) grey, at most LARGEST_WIDTH wide; second is None where there is
            none.
        corners: corners of the first found again in the second.
        segments: (n, 2, 2) ends of straight edges of the first.
        second_T_first: takes points of base_link at the first to that at the second; None
            where the ego pose is not known.
        up_base: (3,) unit vector in base_link that points away from the Earth.
        position: (3,) of the vehicle in the world, metres; None where not known.
    """

    first: NDArray[np.uint8]
    second: NDArray[np.uint8] | None
    corners: Tracks
    segments: NDArray[np.float64]
    second_T_first: RigidTransform | None = None
    up_base: NDArray[np.float64] = field(default_factory=_up)
    position: NDArray[np.float64] | None = None

    @property
    def motion_m(self) -> float:
        """Way of the vehicle between the two images, 0 where not known."""
        motion = self.second_T_first
        return 0.0 if motion is None else float(np.linalg.norm(motion.translation))


def image_pair(
    first: NDArray[np.uint8],
    second: NDArray[np.uint8] | None = None,
    world_T_first: RigidTransform | None = None,
    world_T_second: RigidTransform | None = None,
) -> ImagePair:
    """Looks into one or two images.

    Args:
        first, second: (H, W, 3) RGB of one camera.
        world_T_first, world_T_second: ego poses at their stamps, where known.
    """
    before = small_grey(first)
    after = None if second is None or second.shape != first.shape else small_grey(second)
    known = world_T_first is not None and world_T_second is not None
    return ImagePair(
        before,
        after,
        _NO_TRACKS if after is None else feature_tracks(before, after),
        line_segments(before),
        world_T_second.inverse() @ world_T_first if known else None,  # type: ignore
        _up() if world_T_first is None else world_T_first.rotation[2],
        None if world_T_first is None else world_T_first.translation,
    )


def small_grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(h, w) brightness of an RGB image, at most LARGEST_WIDTH wide."""
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    if width <= LARGEST_WIDTH:
        return grey  # type: ignore[return-value]
    size = LARGEST_WIDTH, round(height * LARGEST_WIDTH / width)
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class Evidence:
    """An image pair as rays of a calibrated camera, whose mounting is to be judged.

    Rays are (n, 3) in the optical frame with z = 1.

    Attributes:
        corners: rays of the same corners in either image.
        ground: rays of the same ground in either image.
        verticals: (n, 3) unit normals of the planes through the camera and each straight
            edge above the horizon, in the optical frame.
        second_T_first: as in ImagePair.
        up_base: as in ImagePair.
    """

    corners: Tracks
    ground: Tracks
    verticals: NDArray[np.float64]
    second_T_first: RigidTransform | None
    up_base: NDArray[np.float64]


def evidence(pair: ImagePair, entry: RigCamera) -> Evidence:
    """Rays of what a pair shows.

    Args:
        pair: images.
        entry: camera that took them as calibration and TF say.
    """
    entry = entry.resized(pair.first.shape[1], pair.first.shape[0])
    ground = _NO_TRACKS
    if pair.second is not None and pair.second_T_first is not None:
        ground = ground_tracks(pair.first, pair.second, entry, pair.second_T_first)
    return Evidence(
        _rays(entry, pair.corners),
        _rays(entry, ground),
        _planes(entry, pair.segments, pair.up_base),
        pair.second_T_first,
        pair.up_base,
    )


def _rays(entry: RigCamera, tracks: Tracks) -> Tracks:
    first, second = (entry.camera.unproject(each) for each in tracks)
    usable = np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1)
    return Tracks(first[usable], second[usable])


def _planes(
    entry: RigCamera, segments: NDArray[np.float64], up_base: NDArray[np.float64]
) -> NDArray[np.float64]:
    ends = entry.camera.unproject(segments)
    ends = ends[np.isfinite(ends).all(axis=(1, 2))]
    up = entry.base_T_camera.rotation.T @ up_base
    ends = ends[(ends @ up > 0.0).all(axis=1)]
    normals = np.cross(ends[:, 0], ends[:, 1])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return normals[lengths[:, 0] > 1e-9] / lengths[lengths[:, 0] > 1e-9]
