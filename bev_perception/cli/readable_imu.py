# SPDX-License-Identifier: Apache-2.0
"""The IMU of a bag; sets go on without what it cannot tell."""

from __future__ import annotations

from collections import Counter

from bev_perception.bags import BagReader
from bev_perception.errors import BagError
from bev_perception.geometry import RigidTransform
from bev_perception.perception.imu_levelling import ImuLevelling


class ReadableImu:
    """Gives the attitude of a set, and counts the sets without one.

    Args:
        reader: of the bag.
    """

    def __init__(self, reader: BagReader) -> None:
        self._levelling = ImuLevelling(
            reader.world_T_base,
            lambda frame, stamp_ns: reader.base_T_frame(frame, stamp_ns, "IMU"),
        )
        self._samples = reader.imu_samples(self._refuse)
        self._has_imu = self._samples is not None
        self._newest_ns = -(1 << 63)
        self._causes: Counter[str] = Counter()
        self._refused, self._first_refused = 0, ""
        self._asked = self._used = 0

    def __call__(
        self, stamp_ns: int, world_T_base: RigidTransform | None
    ) -> tuple[RigidTransform | None, RigidTransform | None]:
        """Pose and attitude of a set, as ImuLevelling.at."""
        while self._samples is not None and self._newest_ns <= stamp_ns:
            sample = next(self._samples, None)
            if sample is None:
                self._samples = None
            else:
                self._newest_ns = sample.stamp_ns
                self._levelling.add(sample)
        found = self._levelling.at(stamp_ns, world_T_base)
        if self._levelling.is_needed:
            self._asked += 1
            self._used += not self._levelling.tilt.problem
            self._causes[self._levelling.tilt.problem] += 1
        return found

    def _refuse(self, error: BagError) -> None:
        self._refused += 1
        self._first_refused = self._first_refused or str(error)

    @property
    def findings(self) -> list[str]:
        """Sentences about what the IMU did."""
        if not self._has_imu:
            return ["IMU: the bag has no sensor_msgs/Imu topic"]
        if not self._asked:
            return ["IMU: not needed, the ego pose tells roll and pitch"]
        text = [f"IMU: levelled {self._used} of {self._asked} sets whose pose has no attitude"]
        del self._causes[""]
        text += [f"IMU: {why} ({count} sets)" for why, count in self._causes.most_common(3)]
        if self._refused:
            text.append(f"IMU: {self._refused} messages refused: {self._first_refused}")
        return text
