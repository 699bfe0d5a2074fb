# SPDX-License-Identifier: Apache-2.0
"""Point clouds of a running node: what they say of the map, and that nothing stops without them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_network import CONFIG

from bev_perception.bags.point_clouds import fields_from_message
from bev_perception.geometry import Rig, RigidTransform
from bev_perception.model import Segnet, save_weights
from bev_perception.perception.point_labels import FIRST_CLASS, FREE, NOBODY, OCCUPIED, UNKNOWN

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

SECOND = 1_000_000_000
BASE_T_LIDAR = RigidTransform.from_euler(yaw=1.2, translation=(0.3, -0.2, 1.9))


def points_message(stamp_ns: int, points: np.ndarray, frame: str = "lidar_top") -> Any:
    """PointCloud2 as drivers send it: an intensity behind x, y, z, and points without an echo."""
    from array import array

    from sensor_msgs.msg import PointCloud2, PointField

    table = np.full((len(points) + 1, 4), np.nan, dtype=np.float32)
    table[1:, :3] = points
    fields = [
        PointField(name=name, offset=4 * place, datatype=7, count=1)
        for place, name in enumerate(("x", "y", "z", "intensity"))
    ]
    message = PointCloud2(height=1, width=len(table), point_step=16, row_step=16 * len(table))
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, SECOND)
    message.header.frame_id, message.fields = frame, fields
    message.data = array("B", table.tobytes())
    return message


@pytest.fixture(scope="module")
def sensing_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "sensing.safetensors"
    save_weights(path, Segnet(replace(CONFIG, sensor="lidar")), {"recipe": "none"})
    return path


@pytest.fixture
def node(
    client: Any, cameras: Any, perception_node: Callable[..., Any], sensing_weights: Path
) -> SimpleNamespace:
    """A node whose network takes a LiDAR, and all that is said of the points."""
    from diagnostic_msgs.msg import DiagnosticArray
    from nav_msgs.msg import OccupancyGrid
    from sensor_msgs.msg import PointCloud2

    mounting = cameras.transform(0, "base_link", "lidar_top", BASE_T_LIDAR)
    perception_node(
        weights=str(sensing_weights),
        labelled_points=True,
        points_timeout_ms=300,
        diagnostics_period_s=0.1,
        precision="fp32",
    )
    grids = client.collect("/bev/occupancy_grid", OccupancyGrid)
    labelled = client.collect("/bev/labelled_points", PointCloud2)
    diagnoses = client.collect("/diagnostics", DiagnosticArray)
    cameras.wait_matched()
    for collected in (grids, labelled, diagnoses):
        client.wait_matched(collected)
    client.wait_matched(client.publisher("/lidar/points", PointCloud2))
    return SimpleNamespace(
        client=client, grids=grids, labelled=labelled, diagnoses=diagnoses, mounting=mounting
    )


def stamp_of(message: Any) -> int:
    return int(message.header.stamp.sec) * SECOND + int(message.header.stamp.nanosec)


def told(node: SimpleNamespace, *words: str) -> Any:
    """The first status of the points that holds all words, from now on."""
    node.diagnoses.clear()

    def found(message: Any) -> bool:
        return any(
            status.name.endswith("points") and all(word in status.message for word in words)
            for status in message.status
        )

    message = node.diagnoses.wait_until(found, what=f"a status of the points with {words}")
    return next(status for status in message.status if status.name.endswith("points"))


def test_points_are_labelled_and_nothing_stops_without_them(
    node: SimpleNamespace, cameras: Any, small_rig: Rig
) -> None:
    from tf2_msgs.msg import TFMessage

    status = told(node, "nothing has come on /lidar/points")
    assert status.level == b"\x01"
    points = np.random.default_rng(0).uniform((-17, -17, 0.3), (17, 17, 1.5), (3000, 3))
    in_lidar = BASE_T_LIDAR.inverse().apply(points)

    stamp_ns = cameras.publish(SECOND)  # without any cloud
    node.grids.wait_until(lambda grid: stamp_of(grid) == stamp_ns)

    def publish_both(stamp_ns: int, frame: str = "lidar_top") -> None:
        node.client.publish("/lidar/points", points_message(stamp_ns, in_lidar, frame))
        cameras.publish(stamp_ns)
        node.grids.wait_until(lambda grid: stamp_of(grid) == stamp_ns)

    publish_both(2 * SECOND)
    assert told(node, "no transform from its frame 'lidar_top'").level == b"\x01"
    assert not len(node.labelled)
    node.client.publish("/tf_static", TFMessage(transforms=[node.mounting]))
    for number in range(3, 40):  # until the mounting is known
        publish_both(number * SECOND)
        if len(node.labelled):
            break
    cloud = node.labelled.wait(1)[-1]
    grid = next(grid for grid in node.grids.messages if stamp_of(grid) == stamp_of(cloud))
    assert cloud.header.frame_id == "base_link"
    table = fields_from_message(cloud, "/bev/labelled_points")
    assert table.dtype.names == ("x", "y", "z", "label", "probability", "id")
    found = np.stack([table[name] for name in "xyz"], axis=1)
    np.testing.assert_allclose(found, points, atol=1e-4)
    cells = np.array(grid.data, dtype=np.int8).reshape(grid.info.height, grid.info.width)
    places = np.floor(points[:, :2] + 16.0).astype(int)
    inside = ((places >= 0) & (places < 32)).all(axis=1)
    column, row = np.where(inside[:, None], places, 0).T
    values = np.where(inside, cells[row, column], -1)
    assert set(table["label"][values == -1]) == {UNKNOWN}
    assert set(table["label"][values == 0]) == {FREE}
    assert (table["label"][values == 100] >= OCCUPIED).all()
    np.testing.assert_array_equal(table["id"] == NOBODY, table["label"] < FIRST_CLASS)

    node.client.publish("/lidar/points", _damaged(points_message(50 * SECOND, in_lidar)))
    stamp_ns = cameras.publish(50 * SECOND)
    node.grids.wait_until(lambda grid: stamp_of(grid) == stamp_ns)
    assert told(node, "the message is damaged").level == b"\x01"
    assert told(node, "nothing on /lidar/points for").level == b"\x01"


def _damaged(message: Any) -> Any:
    message.data = message.data[:100]
    return message
