# SPDX-License-Identifier: Apache-2.0
"""Pairs of images of the same ground, some travel apart, and what they say about it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import FrameSet, Rig, RigidTransform
from bev_perception.geometry.frames import levelled
from bev_perception.residual_pose.ground_tiles import (
    TileHeights,
    View,
    path_tiles,
    tile_heights,
)
from bev_perception.residual_pose.joint_fit import GroundRows

BEST_TRAVEL_M = 1.0
LEAST_TRAVEL_M, MOST_TRAVEL_M = 0.3, 2.2
MOST_TURN = math.radians(4.0)
_MOMENTS = 6
_FEWEST_TILES = 3


@dataclass(frozen=True)
class _Moment:
    world_T_base: RigidTransform
    grays: dict[str, NDArray[np.uint8]]


class GroundHistory:
    """Keeps the last images of cameras that see the vehicle's own path.

    Args:
        rig: as told.
    """

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._cameras = [
            name
            for name in rig.names
            if len(path_tiles(rig[name].camera, rig[name].base_T_camera)) >= _FEWEST_TILES
        ]
        self._moments: deque[_Moment] = deque(maxlen=_MOMENTS)
        self._next_camera = 0

    def clear(self) -> None:
        """Forgets all images."""
        self._moments.clear()

    def observe(
        self,
        frame_set: FrameSet,
        state: NDArray[np.float64],
        level_rig: Rig,
        is_trusted: Callable[[str], bool],
    ) -> GroundRows | None:
        """Heights of the ground between this set and one before.

        Args:
            frame_set: with an ego pose of its own stamp; without one nothing can be said, and
                travel that an older one does not tell looks like another height of the ground.
            state: (3,) roll, pitch and height by which the rig is corrected so far.
            level_rig: the rig so corrected, extrinsics to the levelled base_link.
            is_trusted: whether a camera, by name, is mounted as that says.

        Returns:
            one camera's rows, or None.
        """
        pose = frame_set.world_T_base
        if pose is None or frame_set.pose_age_ns > 0 or not self._cameras:
            return None
        grays = {
            name: np.asarray(
                cv2.cvtColor(frame_set.frames[name].image, cv2.COLOR_RGB2GRAY), dtype=np.uint8
            )
            for name in self._cameras
            if name in frame_set.frames
        }
        before = self._partner(pose)
        now = _Moment(pose, grays)
        self._moments.append(now)
        if before is None:
            return None
        self._next_camera = (self._next_camera + 1) % len(self._cameras)
        name = self._cameras[self._next_camera]
        if name not in now.grays or name not in before.grays or not is_trusted(name):
            return None
        return self._rows(name, now, before, state, level_rig)

    def _partner(self, world_T_base: RigidTransform) -> _Moment | None:
        """The moment kept whose distance suits best."""
        fitting = []
        for moment in self._moments:
            motion = world_T_base.inverse() @ moment.world_T_base
            travel = float(np.linalg.norm(motion.translation))
            if LEAST_TRAVEL_M < travel < MOST_TRAVEL_M and abs(motion.yaw) < MOST_TURN:
                fitting.append((abs(math.log(travel / BEST_TRAVEL_M)), moment))
        return min(fitting, key=lambda each: each[0])[1] if fitting else None

    def _rows(
        self, name: str, now: _Moment, before: _Moment, state: NDArray[np.float64], rig: Rig
    ) -> GroundRows:
        entry = rig[name]
        level_T_before = (
            levelled(now.world_T_base)
            @ now.world_T_base.inverse()
            @ before.world_T_base
            @ levelled(before.world_T_base).inverse()
        )
        first = View(now.grays[name], entry.camera, entry.base_T_camera)
        second = View(before.grays[name], entry.camera, level_T_before @ entry.base_T_camera)
        tiles = tile_heights(first, second, path_tiles(entry.camera, entry.base_T_camera))
        return ground_rows(tiles, entry.base_T_camera.translation[:2], state)


def ground_rows(
    tiles: TileHeights, foot: NDArray[np.float64], state: NDArray[np.float64]
) -> GroundRows:
    """Equations of tiles that one camera saw at two times.

    A pitch error turns the direction of travel, too: the camera seems to rise or sink while it
    drives. At a distance d before it, that changes the tile's shift by as much again as the
    tilted plane does.

    Args:
        tiles: seen with a rig that was corrected by state.
        foot: (2,) metres, below the camera.
        state: (3,) roll, pitch, height.
    """
    x, y = tiles.places.T
    along = 2.0 * (x - foot[0]) - tiles.travel[0] + foot[0]
    coefficients = np.stack([y, -along, np.ones_like(x), -x, y], axis=1)
    heights_m = tiles.heights_m - coefficients[:, :3] @ state
    return GroundRows(heights_m, coefficients, 1.0 / tiles.sigmas_m**2)
