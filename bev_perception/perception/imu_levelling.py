# SPDX-License-Identifier: Apache-2.0
"""The attitude of sets that no ego pose tells, from an IMU; the same live and on bags."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from bev_perception.errors import BevError
from bev_perception.geometry import RigidTransform
from bev_perception.geometry.imu import ImuSample
from bev_perception.perception.imu_attitude import (
    NANOSECONDS,
    SWAP_S,
    ImuAttitude,
    ImuTilt,
    Positions,
)

PLANAR = 1e-6
"""A pose whose z axis is upright to so much does not know roll and pitch: it is planar."""
PATIENCE_NS = 2 * NANOSECONDS
"""Samples wait so long for the set, whose pose then tells how the vehicle has moved."""
MOST_WAITING = 8000
_MOUNT_NS = NANOSECONDS
"""The mounting is looked up anew after this."""

Mounts = Callable[[str, int], RigidTransform]
"""An IMU's frame and a stamp to base_T_imu; raises a BevError where TF does not tell."""


def is_planar(pose: RigidTransform) -> bool:
    """Whether a pose has heading alone, as planar localisation and wheel odometry give."""
    return bool(abs(pose.rotation[2, 0]) < PLANAR and abs(pose.rotation[2, 1]) < PLANAR)


class ImuLevelling:
    """Samples come as they come, sets ask in order. For one thread at a time.

    Args:
        positions: of the vehicle, for its acceleration.
        mounts: where IMUs are.

    Attributes:
        tilt: of the last set that asked.
        is_needed: whether that set's pose told no attitude.
    """

    def __init__(self, positions: Positions, mounts: Mounts) -> None:
        self._mounts = mounts
        self._attitude = ImuAttitude(positions)
        self._waiting: deque[ImuSample] = deque(maxlen=MOST_WAITING)
        self._mount: tuple[str, int, RigidTransform] | None = None
        self._mount_problem = ""
        self.tilt = ImuTilt()
        self.is_needed = True

    def reset(self) -> None:
        """For a clock that was set back."""
        self._waiting.clear()
        self._attitude.reset()
        self._mount = None
        self.tilt = ImuTilt()

    def add(self, sample: ImuSample) -> None:
        """One sample.

        One that others have overtaken, by up to SWAP_S, is left out; stamps that go further back
        begin a new time line.
        """
        if self._waiting and sample.stamp_ns < self._waiting[-1].stamp_ns:
            if self._waiting[-1].stamp_ns - sample.stamp_ns <= SWAP_S * NANOSECONDS:
                return
            self.reset()
        self._waiting.append(sample)
        while sample.stamp_ns - self._waiting[0].stamp_ns > PATIENCE_NS:
            self._take(self._waiting.popleft())

    def at(
        self, stamp_ns: int, world_T_base: RigidTransform | None
    ) -> tuple[RigidTransform | None, RigidTransform | None]:
        """Pose and attitude of a set.

        Args:
            stamp_ns: of the set.
            world_T_base: its pose by TF; None where there is none.

        Returns:
            The pose, with roll and pitch by the IMU where it is planar; and for sets without a
            pose ``level_T_base`` by the IMU. Each as given, or None, where the IMU does not know.
        """
        while self._waiting and self._waiting[0].stamp_ns <= stamp_ns:
            self._take(self._waiting.popleft())
        self.is_needed = world_T_base is None or is_planar(world_T_base)
        tilt = self._attitude.at(stamp_ns)
        if self._mount_problem:
            tilt = ImuTilt(problem=self._mount_problem)
        self.tilt = tilt
        if tilt.level_T_base is None or not self.is_needed:
            return world_T_base, None
        if world_T_base is None:
            return None, tilt.level_T_base
        return world_T_base @ tilt.level_T_base, None

    def _take(self, sample: ImuSample) -> None:
        known = self._mount
        is_fresh = known is not None and abs(sample.stamp_ns - known[1]) < _MOUNT_NS
        if known is None or known[0] != sample.frame_id or not is_fresh:
            try:
                base_T_imu = self._mounts(sample.frame_id, sample.stamp_ns)
            except BevError as error:
                self._mount_problem = str(error)
                return
            self._mount_problem = ""
            known = self._mount = sample.frame_id, sample.stamp_ns, base_T_imu
        self._attitude.add(sample, known[2])
