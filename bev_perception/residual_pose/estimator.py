# SPDX-License-Identifier: Apache-2.0
"""Attitude and height errors of a rig over time, from one set of images after the other."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import FrameSet, Rig, RigidTransform
from bev_perception.residual_pose.camera_tilts import CameraTilts
from bev_perception.residual_pose.ground_history import GroundHistory
from bev_perception.residual_pose.joint_fit import Edges, Fit, GroundRows, fit, voted_tilt
from bev_perception.residual_pose.lasting import LastingAverage
from bev_perception.residual_pose.residual import KNOWN_DEG, KNOWN_M, NOTHING_KNOWN, PoseResidual
from bev_perception.residual_pose.segments import SegmentFinder

PERIOD_NS = 80_000_000
"""Sets that come sooner after one another are left out."""
MEMORY_S = 0.7
"""Evidence weighs 1 / e of its first weight after this."""
FORGET_S = 10.0
"""Without evidence the estimate goes to zero with this time constant."""
_OLDEST = 4.0
"""In MEMORY_S; older evidence is dropped."""
_GAP_S = 10.0
"""After a longer pause all begins anew."""
_PRIOR_SIGMA = np.array([np.radians(1.0), np.radians(1.0), 0.15])
_SAME_TILT = math.radians(0.4)
"""Heights of the ground that were measured with another attitude are dropped."""
_CAMERA_PERIOD_S = 0.1
"""One camera's edges are looked for in this time; slower sets get several."""


class ResidualPoseEstimator:
    """Estimates what the told rig and the ego pose leave unexplained. For one thread at a time.

    Each set gives vertical edges of one camera after the other and, where the ego pose
    tells the travel, heights of the ground between this set and one shortly before. What it says
    depends on the sets observed alone.

    Args:
        rig: as told.
    """

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._finders = {name: SegmentFinder(rig[name]) for name in rig.names}
        self._ground = GroundHistory(rig)
        self._next_camera = 0
        self.reset()

    def reset(self) -> None:
        """Forgets everything."""
        self._edges: deque[tuple[int, Edges]] = deque()
        self._rows: deque[tuple[int, NDArray[np.float64], GroundRows]] = deque()
        self._tilts = CameraTilts(self._rig.names)
        self._lasting = LastingAverage()
        self._ground.clear()
        self._state = np.zeros(3)
        self._last_ns: int | None = None
        self._residual = NOTHING_KNOWN

    @property
    def residual(self) -> PoseResidual:
        """Of the last set observed."""
        return self._residual

    def observe(self, frame_set: FrameSet) -> PoseResidual:
        """Takes one set into account.

        Args:
            frame_set: images of the rig's sizes; those of cameras that see nothing left out.
        """
        stamp_ns = frame_set.stamp_ns
        elapsed_s = _CAMERA_PERIOD_S
        if self._last_ns is not None:
            elapsed_s = (stamp_ns - self._last_ns) / 1e9
            if not 0.0 <= elapsed_s <= _GAP_S:
                self.reset()
                elapsed_s = _CAMERA_PERIOD_S
            elif stamp_ns - self._last_ns < PERIOD_NS:
                return self._residual
        self._last_ns = stamp_ns
        for camera in self._due_cameras(frame_set, elapsed_s):
            self._look_for_edges(frame_set, camera)
        self._look_at_ground(frame_set)
        self._drop_old(stamp_ns)
        self._residual = self._estimated(elapsed_s, stamp_ns)
        return self._residual

    def _due_cameras(self, frame_set: FrameSet, elapsed_s: float) -> list[str]:
        names = self._rig.names
        count = min(len(names), max(1, round(elapsed_s / _CAMERA_PERIOD_S)))
        due = [names[(self._next_camera + step) % len(names)] for step in range(count)]
        self._next_camera = (self._next_camera + count) % len(names)
        return [name for name in due if name in frame_set.frames]

    def _look_for_edges(self, frame_set: FrameSet, camera: str) -> None:
        found = self._finders[camera].find(frame_set.frames[camera].image)
        up = _up(frame_set.attitude)
        index = self._rig.names.index(camera)
        edges = Edges(
            found.normals,
            found.weights,
            np.tile(up, (len(found), 1)),
            np.full(len(found), index),
            np.ones(len(found)),
        )
        if self._residual.is_attitude_known:
            self._tilts.observe(camera, edges, self._state[:2])
        turn = self._tilts.correction(camera)
        corrected = replace(edges, normals=edges.normals @ turn.rotation.T)
        self._edges.append((frame_set.stamp_ns, corrected))

    def _look_at_ground(self, frame_set: FrameSet) -> None:
        """With a wrong attitude the ground's texture would be found in wrong places."""
        if self._residual.is_attitude_known:
            rig = self._corrected_rig(frame_set)
            rows = self._ground.observe(frame_set, self._state, rig, self._tilts.is_trusted)
            if rows is not None:
                self._rows.append((frame_set.stamp_ns, self._state[:2].copy(), rows))

    def _corrected_rig(self, frame_set: FrameSet) -> Rig:
        """As well as it is known, in the levelled frame."""
        turn = RigidTransform.from_euler(
            float(self._state[0]), float(self._state[1]), 0.0, (0.0, 0.0, float(self._state[2]))
        )
        level_T_base = frame_set.attitude or RigidTransform.identity()
        return self._tilts.corrected(self._rig).moved(level_T_base @ turn)

    def _drop_old(self, stamp_ns: int) -> None:
        oldest_ns = stamp_ns - int(_OLDEST * MEMORY_S * 1e9)
        while len(self._edges) > len(self._rig) and self._edges[0][0] < oldest_ns:
            self._edges.popleft()
        self._rows = deque(
            (moment_ns, tilt, rows)
            for moment_ns, tilt, rows in self._rows
            if moment_ns >= oldest_ns and np.abs(tilt - self._state[:2]).max() < _SAME_TILT
        )

    def _estimated(self, elapsed_s: float, stamp_ns: int) -> PoseResidual:
        edges = Edges.joined(
            [replace(e, shares=e.shares * _share(stamp_ns - t)) for t, e in self._edges]
        )
        rows = GroundRows.joined(
            [replace(r, information=r.information * _share(stamp_ns - t)) for t, _, r in self._rows]
        )
        prior = self._state * math.exp(-elapsed_s / FORGET_S)
        start = voted_tilt(edges)
        if start is None:
            edges, start = Edges.joined([]), prior[:2]
        found = fit(edges, rows, start, prior, _PRIOR_SIGMA)
        return self._accepted(found, prior, elapsed_s)

    def _accepted(self, found: Fit, prior: NDArray[np.float64], elapsed_s: float) -> PoseResidual:
        """The fit where it is certain, else the estimate before, which goes to zero."""
        sigma = np.sqrt(np.diag(found.covariance))[:3]
        known = sigma < np.array([np.radians(KNOWN_DEG), np.radians(KNOWN_DEG), KNOWN_M])
        known[:2] = known[:2].all()
        self._state = np.where(known, found.state[:3], prior)
        self._lasting.update(self._state, known, elapsed_s)
        roll, pitch = np.degrees(self._state[:2]).tolist()
        sigma_roll, sigma_pitch = np.degrees(sigma[:2]).tolist()
        lasting_roll, lasting_pitch = np.degrees(self._lasting.value[:2]).tolist()
        return PoseResidual(
            roll,
            pitch,
            float(self._state[2]),
            sigma_roll,
            sigma_pitch,
            float(sigma[2]),
            lasting_roll,
            lasting_pitch,
            float(self._lasting.value[2]),
            self._lasting.seconds,
            found.num_edges,
            found.num_tiles,
            self._tilts.tilts,
        )


def _share(age_ns: int) -> float:
    return math.exp(-age_ns / 1e9 / MEMORY_S)


def _up(level_T_base: RigidTransform | None) -> NDArray[np.float64]:
    """(3,) in base_link, where pose or IMU say it is."""
    return np.array([0.0, 0.0, 1.0]) if level_T_base is None else level_T_base.rotation[2]
