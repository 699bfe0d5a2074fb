# SPDX-License-Identifier: Apache-2.0
"""A bag's clouds are told apart by their topic: a radar network never gets LiDAR points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bev_perception.bags import BagReader, BagWriter
from bev_perception.geometry import CameraFrame, FrameSet, load_rig
from bev_perception.resources import config_path

LIDAR, RADAR = "/lidar/points", "/radar_front/points"


@pytest.mark.parametrize("topics", [(LIDAR, RADAR), (LIDAR,), (RADAR,), ("/velodyne",)])
def test_points_are_those_of_the_sensor_that_is_asked_for(
    tmp_path: Path, topics: tuple[str, ...]
) -> None:
    rig = load_rig(config_path("rigs/default.yaml")).subset(["front"])
    image = np.zeros((rig["front"].camera.height, rig["front"].camera.width, 3), dtype=np.uint8)
    with BagWriter(tmp_path / "drive") as writer:
        writer.write_frame_set(FrameSet(0, {"front": CameraFrame("front", 0, image)}), rig)
        for number, topic in enumerate(topics):
            writer.write_points(0, np.full((number + 1, 3), 1.0), topic=topic)
    with BagReader(tmp_path / "drive") as reader:
        lidar, radar = (reader.points(0, sensor=sensor) for sensor in ("lidar", "radar"))
    if topics == (RADAR,):
        assert lidar is None
    else:
        assert lidar is not None
        assert len(lidar) == 1
    if RADAR not in topics:
        assert radar is None
    else:
        assert radar is not None
        assert len(radar) == len(topics)
