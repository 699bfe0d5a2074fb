# SPDX-License-Identifier: Apache-2.0
"""A bag's clouds are told apart by their topic: a radar network never gets LiDAR points."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from bev_perception.bags import BagReader, BagWriter
from bev_perception.bags.discovery import find_labels, find_points
from bev_perception.bags.point_clouds import points_from_message, points_to_message
from bev_perception.bags.typestore import MARKER_ARRAY, POINT_CLOUD
from bev_perception.errors import BagError
from bev_perception.geometry import CameraFrame, FrameSet, RigidTransform, load_rig
from bev_perception.geometry.point_values import RADAR_VALUES
from bev_perception.geometry.rig_file import RigFile, RigFileCamera
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


def test_a_radar_with_features_gives_its_values_and_one_without_names_what_it_lacks(
    tmp_path: Path,
) -> None:
    rig = load_rig(config_path("rigs/default.yaml")).subset(["front"])
    base_T_radar = RigidTransform.from_euler(yaw=0.5, translation=(3.0, 0.2, 0.5))
    returns = np.random.default_rng(0).uniform(-20, 20, (7, 18)).astype(np.float32)
    returns[3, 0] = np.nan  # no return
    returns[4, 8] = np.inf  # a value that is not known
    with BagWriter(tmp_path / "drive") as writer:
        writer.write_rig(rig, 0, others={"radar_front": base_T_radar})
        for stamp_ns, values in ((0, RADAR_VALUES[:-1]), (10**9, ("rcs",))):
            cloud = returns[:, : 3 + len(values)]
            writer.write_points(stamp_ns, cloud, "radar_front", RADAR, values)
    with BagReader(tmp_path / "drive") as reader:
        found = reader.points(0, sensor="radar_features")
        plain = reader.points(0, sensor="radar")
        with pytest.raises(
            BagError,
            match=rf"drive: {RADAR}: .* without field dyn_prop, id, vx.* model.sensor radar",
        ):
            reader.points(10**9, sensor="radar_features")
    assert found is not None
    assert plain is not None
    expected = np.delete(returns, 3, axis=0).astype(np.float64)
    expected[3, 8] = 0.0
    np.testing.assert_allclose(found[:, :3], base_T_radar.apply(expected[:, :3]), atol=1e-6)
    np.testing.assert_array_equal(found[:, 3:-1], expected[:, 3:])
    assert not found[:, -1].any(), "a radar that tells no time measured now"
    np.testing.assert_array_equal(plain, found[:, :3])


def test_rows_whose_step_a_driver_left_out_follow_each_other() -> None:
    points = np.arange(18.0).reshape(6, 3)
    message = points_to_message(0, "lidar", points)
    message = replace(message, height=2, width=3)
    for row_step in (0, 12, 36):
        found = points_from_message(replace(message, row_step=row_step), LIDAR)
        np.testing.assert_array_equal(found, points)


def test_a_field_of_several_numbers_is_refused_by_name() -> None:
    message = points_to_message(0, "lidar", np.zeros((4, 4)), ("intensity",))
    message.fields[1].count = 2
    with pytest.raises(BagError, match=f"{LIDAR}: .*several numbers per point in 'y'"):
        points_from_message(message, LIDAR)


@dataclass
class Seen:
    """What a search looks at of a connection."""

    topic: str
    msgtype: str = POINT_CLOUD
    msgcount: int = 9


@pytest.mark.parametrize(
    ("topics", "lidar", "radar"),
    [
        (("/velodyne_points", "/RADAR_FRONT"), "/velodyne_points", "/RADAR_FRONT"),
        (("/LIDAR_TOP", "/RADAR_FRONT"), "/LIDAR_TOP", "/RADAR_FRONT"),
        (("/camera/depth/color/points", "/ouster/points"), "/ouster/points", None),
        (("/lidar/ground_removed", "/lidar/points"), "/lidar/points", None),
        (("/ego/bev/centers", "/velodyne_points"), "/velodyne_points", None),
        (("/ego/bev/centers",), None, None),
        (("/camera_roof/depth/points", "/camera_roof/livox"), "/camera_roof/livox", None),
        (("/grids/centers", "/grids/probability_grid"), None, None),
    ],
)
def test_of_several_clouds_the_sensors_own_is_taken(
    topics: tuple[str, ...], lidar: str | None, radar: str | None
) -> None:
    seen = [Seen(topic) for topic in topics]
    for sensor, expected in (("lidar", lidar), ("radar", radar)):
        found = find_points(seen, sensor)
        assert (found and found.topic) == expected


def test_answers_of_a_node_in_a_namespace_are_no_labels() -> None:
    mine = [Seen(f"/ego/bev/{name}", MARKER_ARRAY) for name in ("objects", "markers")]
    truth = Seen("/ground_truth/objects", MARKER_ARRAY)
    assert find_labels(mine) is None
    assert find_labels([*mine, truth]) is truth


def test_a_rig_file_names_the_cloud(tmp_path: Path) -> None:
    rig = load_rig(config_path("rigs/default.yaml")).subset(["front"])
    image = np.zeros((rig["front"].camera.height, rig["front"].camera.width, 3), dtype=np.uint8)
    with BagWriter(tmp_path / "drive") as writer:
        writer.write_frame_set(FrameSet(0, {"front": CameraFrame("front", 0, image)}), rig)
        for number, topic in enumerate((LIDAR, "/lidar/roof")):
            writer.write_points(0, np.full((number + 1, 3), 1.0), topic=topic)
    cameras = {"front": RigFileCamera()}
    with BagReader(tmp_path / "drive", RigFile("base_link", cameras)) as reader:
        assert len(reader.points(0)) == 1
    named = RigFile("base_link", cameras, points_topic="/lidar/roof")
    with BagReader(tmp_path / "drive", named) as reader:
        assert len(reader.points(0)) == 2
    lost = RigFile("base_link", cameras, points_topic="/lidar/rear")
    with pytest.raises(BagError, match="points topic '/lidar/rear' is not in the bag"):
        BagReader(tmp_path / "drive", lost)
