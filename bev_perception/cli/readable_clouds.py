# SPDX-License-Identifier: Apache-2.0
"""The point clouds of a bag; sets go on without those that are missing or cannot be read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bev_perception.bags import BagReader
from bev_perception.errors import BagError


class ReadableClouds:
    """Gives the cloud of a set, and counts the sets without one.

    Args:
        reader: of the bag.
        sensor: which clouds.
        consequence: what is true of a set without one, behind "which".
    """

    def __init__(self, reader: BagReader, sensor: str, consequence: str) -> None:
        self._reader, self._sensor, self._consequence = reader, sensor, consequence
        self._asked, self._missing = 0, 0
        self._error = ""

    def __call__(self, stamp_ns: int) -> NDArray[np.float64] | None:
        """(N, 3) metres in base_link at a stamp; None where there is no cloud near it."""
        self._asked += 1
        points = None
        try:
            points = self._reader.points(stamp_ns, sensor=self._sensor)
        except BagError as error:
            self._error = self._error or str(error)
        self._missing += points is None
        return points

    @property
    def findings(self) -> list[str]:
        """A sentence where sets had no cloud."""
        if not self._missing:
            return []
        why = self._error or (
            "none within 50 ms of the images, TF does not reach its time, or its sensor was "
            "mounted elsewhere then"
        )
        if not self._reader.has_points(self._sensor):
            why = "the bag has no such PointCloud2"
        return [
            f"{self._sensor} points: none for {self._missing} of {self._asked} sets, which "
            f"{self._consequence}: {why}"
        ]
