# SPDX-License-Identifier: Apache-2.0
"""Images of one tick of CARLA and the truth about it."""

from __future__ import annotations

from dataclasses import dataclass

from bev_perception.geometry import FrameSet, LidarScan, ObjectBox


@dataclass(frozen=True)
class CarlaSet:
    """One moment of a drive; has what simulation.SimulatedSet has for labels.

    Attributes:
        frame_set: images of all cameras, all of one tick and one stamp; world_T_base is
            map_T_base, of CARLA's world with its y axis mirrored.
        objects: vehicles, walkers and parked cars within LABEL_RADIUS_M of the ego, in
            base_link; visibility is NaN without depth cameras.
        frame_number: CARLA's number of the tick.
        scan: none; a LiDAR of CARLA is not asked for.
    """

    frame_set: FrameSet
    objects: tuple[ObjectBox, ...]
    frame_number: int
    scan: LidarScan | None = None
