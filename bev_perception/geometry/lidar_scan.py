# SPDX-License-Identifier: Apache-2.0
"""One turn of a LiDAR with what its driver says of every return."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.transform import RigidTransform

LIDAR_FRAME = "lidar"

SCAN_FIELDS = (
    ("x", "f4"),
    ("y", "f4"),
    ("z", "f4"),
    ("intensity", "f4"),
    ("ring", "u2"),
    ("time", "f4"),
)
"""Fields of a return, in order and without gaps, as drivers of spinning LiDARs publish them:
metres in the LiDAR's frame, 0 to 255, the beam from the lowest on, seconds since the stamp."""


@dataclass(frozen=True, eq=False)
class LidarScan:
    """What one LiDAR measured in one turn.

    Attributes:
        base_T_lidar: where it is mounted.
        returns: (N,) structured array of SCAN_FIELDS.
        frame_id: name of the LiDAR's frame.
    """

    base_T_lidar: RigidTransform
    returns: NDArray[np.void]
    frame_id: str = LIDAR_FRAME

    @property
    def points(self) -> NDArray[np.float64]:
        """(N, 3) metres in base_link."""
        p_lidar = np.stack([self.returns[name].astype(np.float64) for name in "xyz"], axis=-1)
        return self.base_T_lidar.apply(p_lidar)
