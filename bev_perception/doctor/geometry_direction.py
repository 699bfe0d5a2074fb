# SPDX-License-Identifier: Apache-2.0
"""Do things move through a camera's images as its mounting says they must?

What stands still moves away from where the vehicle is heading, and nothing lies below the
road. Images of another camera, mirrored or upside-down ones break one or the other, whatever
small errors the calibration has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bev_perception.doctor.geometry_evidence import ImagePair
from bev_perception.doctor.geometry_ground import MIN_MOTION_M
from bev_perception.geometry import PinholeCamera, RigCamera

_MIN_FLOW_PX = 1.5
_MIN_COSINE = math.cos(math.radians(30.0))
_MIN_SINE = math.sin(math.radians(12.0))
_DEEPEST_M = -0.7
_MIN_DEPTH = 0.1


class Flip(Enum):
    """How images may have been turned; the value says so in words."""

    NONE = "as they are"
    UPSIDE_DOWN = "upside-down"
    MIRRORED = "mirrored left to right"
    MIRRORED_UPSIDE_DOWN = "mirrored top to bottom"

    def undo(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The (H, W) or (H, W, 3) image as it was before; a flip is its own inverse."""
        if self in (Flip.UPSIDE_DOWN, Flip.MIRRORED):
            image = image[:, ::-1]
        if self in (Flip.UPSIDE_DOWN, Flip.MIRRORED_UPSIDE_DOWN):
            image = image[::-1]
        return np.ascontiguousarray(image)

    def undo_pixels(
        self, pixels: NDArray[np.float64], camera: PinholeCamera
    ) -> NDArray[np.float64]:
        """Pixels (n, 2) of a flipped image in the image as it was before."""
        u, v = pixels[:, 0], pixels[:, 1]
        if self in (Flip.UPSIDE_DOWN, Flip.MIRRORED):
            u = camera.width - 1 - u
        if self in (Flip.UPSIDE_DOWN, Flip.MIRRORED_UPSIDE_DOWN):
            v = camera.height - 1 - v
        return np.stack([u, v], axis=1)


class Agreement(NamedTuple):
    """How many tracked corners move as they must.

    Attributes:
        corners: that moved enough to tell.
        share: of them, those that move in the right direction and lie above the road.
    """

    corners: int
    share: float


def agreement(pairs: Sequence[ImagePair], entry: RigCamera, flip: Flip = Flip.NONE) -> Agreement:
    """Judges the images of one camera as those of a mounting.

    Args:
        pairs: consecutive images.
        entry: camera that is supposed to have taken them.
        flip: how the images are supposed to have been turned.
    """
    count, right = 0, 0
    for pair in pairs:
        judged, agrees = judge_corners(pair, entry, flip)
        count += int(judged.sum())
        right += int(agrees.sum())
    return Agreement(count, right / max(count, 1))


def judge_corners(
    pair: ImagePair, entry: RigCamera, flip: Flip = Flip.NONE
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which corners of a pair moved enough to tell, and which of them move as they must.

    None can be judged where the vehicle moved less than MIN_MOTION_M.
    """
    if pair.second_T_first is None or pair.motion_m < MIN_MOTION_M:
        nothing = np.zeros(len(pair.corners.first), bool)
        return nothing, nothing
    entry = entry.resized(pair.first.shape[1], pair.first.shape[0])
    camera, mounting = entry.camera, entry.base_T_camera
    motion = mounting.inverse() @ pair.second_T_first @ mounting
    way = motion.translation
    first, second = (camera.unproject(flip.undo_pixels(pixels, camera)) for pixels in pair.corners)
    far = motion.rotate(first)  # where a corner would be that is infinitely far away
    with np.errstate(divide="ignore", invalid="ignore"):
        flow = camera.fx * (second[:, :2] - far[:, :2] / far[:, 2:])
        # derivative of the projection of far + way / depth, by 1 / depth
        pull = camera.fx * (way[:2] * far[:, 2:] - far[:, :2] * way[2]) / far[:, 2:] ** 2
        moved, reach = np.linalg.norm(flow, axis=1), np.linalg.norm(pull, axis=1)
        along = (flow * pull).sum(axis=1)
        nearness = along / np.maximum(reach**2, 1e-9)
        rising = (first @ mounting.rotation.T)[:, 2]
        height = mounting.translation[2] + rising / np.maximum(nearness, 1e-4)
        off_way = np.cross(second, way / max(float(np.linalg.norm(way)), 1e-9))
        sine = np.linalg.norm(off_way, axis=1) / np.linalg.norm(second, axis=1)
        judged = (far[:, 2] > _MIN_DEPTH) & (moved > _MIN_FLOW_PX) & (sine > _MIN_SINE)
        agrees = judged & (along > _MIN_COSINE * moved * reach) & (height > _DEEPEST_M)
    return judged, agrees
