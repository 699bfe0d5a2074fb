# SPDX-License-Identifier: Apache-2.0
"""Parameters of the town node."""

from __future__ import annotations

from dataclasses import dataclass

from bev_perception.ros.declared_settings import MAX_INTEGER, parameter
from bev_perception.ros.drive_settings import DriveSettings
from bev_perception.simulation.weather import KINDS


@dataclass(frozen=True)
class TownSettings(DriveSettings):
    """A live drive through the embedded town."""

    town: int = parameter(
        11000,
        "Seed of the town; the same seed gives the same town. Tests: 11000 to 11999",
        0,
        MAX_INTEGER,
    )
    traffic_seed: int = parameter(
        -1, "Seed of the traffic in it; -1 takes the town's", -1, MAX_INTEGER
    )
    lidar: bool = parameter(
        False, "Publish a LiDAR's point clouds on lidar/points, and its mounting on /tf_static"
    )
    weather: str = parameter(
        "", f"One of {', '.join(KINDS)}; empty draws one by the town's seed", choices=("", *KINDS)
    )
