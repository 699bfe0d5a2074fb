# SPDX-License-Identifier: Apache-2.0
"""Cameras that are turned against the rest of their rig: mounts that have slipped."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import Rig, RigidTransform
from bev_perception.residual_pose.correction import PoseCorrection
from bev_perception.residual_pose.joint_fit import Edges, GroundRows, fit, voted_tilt
from bev_perception.residual_pose.residual import CameraTilt

SLIPPED_DEG = 0.5
_FEWEST_CAMERAS = 3
"""With fewer it cannot be told which one has moved."""
_KEPT_IMAGES = 4
_PRIOR_SIGMA = np.array([np.radians(2.0), np.radians(2.0), 0.1])
_JUMP = math.radians(0.8)
"""Of the rig's own tilt between two images, from which averages begin anew."""
_AVERAGED = 6
"""Images over which a camera's own tilt is averaged."""
_CERTAIN = 2.5
"""Standard deviations by which a tilt must exceed zero."""


class CameraTilts:
    """Each camera's own roll and pitch minus the rig's.

    Args:
        names: of the rig's cameras.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._images: dict[str, deque[Edges]] = {n: deque(maxlen=_KEPT_IMAGES) for n in names}
        self._means = {name: np.zeros(2) for name in names}
        self._counts = dict.fromkeys(names, 0)
        self._tilts = {name: CameraTilt() for name in names}
        self._rig_tilt = np.zeros(2)

    @property
    def tilts(self) -> dict[str, CameraTilt]:
        """By camera."""
        return dict(self._tilts)

    def is_trusted(self, camera: str) -> bool:
        """Whether nothing hints at a turn that is not corrected."""
        tilt = self._tilts[camera]
        return tilt.is_slipped or tilt.angle_deg < max(SLIPPED_DEG, 1.5 * tilt.sigma_deg)

    def correction(self, camera: str) -> RigidTransform:
        """Turn in base_link that takes a slipped camera as told to where it is."""
        tilt = self._tilts[camera]
        if not tilt.is_slipped:
            return RigidTransform.identity()
        return RigidTransform.from_euler(math.radians(tilt.roll_deg), math.radians(tilt.pitch_deg))

    def corrected(self, rig: Rig) -> Rig:
        """The rig with slipped cameras turned about their own centres."""
        slipped = tuple(
            (name, tilt.roll_deg, tilt.pitch_deg)
            for name, tilt in self._tilts.items()
            if tilt.is_slipped
        )
        return PoseCorrection(cameras=slipped).applied(rig)

    def observe(self, camera: str, edges: Edges, rig_tilt: NDArray[np.float64]) -> None:
        """Takes the edges of one image into account.

        Args:
            camera: whose.
            edges: by the rig as told.
            rig_tilt: (2,) roll and pitch of the whole rig, radians.
        """
        if len(self._images) < _FEWEST_CAMERAS:
            return
        if np.abs(rig_tilt - self._rig_tilt).max() > _JUMP:
            self._counts = dict.fromkeys(self._counts, 0)
        self._rig_tilt = rig_tilt.copy()
        images = self._images[camera]
        images.append(edges)
        own = Edges.joined(list(images))
        start = voted_tilt(own)
        if start is None:
            return
        prior = np.array([*rig_tilt, 0.0])
        found = fit(own, GroundRows.joined([]), start, prior, _PRIOR_SIGMA)
        sigma = math.degrees(math.sqrt(np.linalg.eigvalsh(found.covariance[:2, :2])[-1]))
        self._counts[camera] += 1
        gain = 1.0 / min(self._counts[camera], _AVERAGED)
        self._means[camera] += gain * (found.state[:2] - rig_tilt - self._means[camera])
        roll, pitch = np.degrees(self._means[camera]).tolist()
        angle = math.hypot(roll, pitch)
        limit = max(SLIPPED_DEG, _CERTAIN * sigma)
        if self._tilts[camera].is_slipped:
            limit *= 0.7
        is_slipped = self._counts[camera] >= _AVERAGED and angle > limit
        self._tilts[camera] = CameraTilt(roll, pitch, sigma, is_slipped)
