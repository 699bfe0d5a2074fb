# SPDX-License-Identifier: Apache-2.0
"""A running perception node: what it publishes, and what it goes on after."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from grid_messages import SECOND, cells, stamp_of, unknown_cells
from numpy.typing import NDArray
from ros_processes import wait_for

from bev_perception.geometry import Rig, RigidTransform

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

PERIOD_NS = 100_000_000


@pytest.fixture(scope="module")
def node(
    perception_node_of_module: Callable[..., Any], client_of_module: Any
) -> Iterator[SimpleNamespace]:
    """A perception node that several tests share, its grids, and stamps that grow."""
    from nav_msgs.msg import OccupancyGrid

    grids = client_of_module.collect("/bev/occupancy_grid", OccupancyGrid)
    process = perception_node_of_module(sync_timeout_ms=500, diagnostics_period_s=0.1)
    client_of_module.wait_matched(grids)
    stamps = itertools.count(1000 * SECOND, PERIOD_NS)
    yield SimpleNamespace(process=process, client=client_of_module, grids=grids, stamps=stamps)
    assert process.process.poll() is None, "the node ended by itself"


@pytest.fixture
def cameras(
    node: SimpleNamespace, make_cameras: Callable[..., Any], small_rig: Rig, fast_weights: Path
) -> Any:
    """Drivers of which the shared node hears every one and knows every calibration."""
    found = make_cameras(node.client)
    found.wait_matched()
    publish_until(node, found, unknown_cells(small_rig, fast_weights))
    return found


def publish_and_wait(node: SimpleNamespace, cameras: Any, **options: Any) -> Any:
    """The grid of one more set."""
    node.grids.clear()
    stamp_ns = cameras.publish(next(node.stamps), **options)
    return node.grids.wait_until(lambda grid: stamp_of(grid) == stamp_ns)


def publish_until(node: SimpleNamespace, cameras: Any, unknown: NDArray[np.bool_]) -> None:
    """Set after set until the cells of a grid that nobody sees are those."""
    node.grids.clear()

    def is_right() -> bool:  # the node prepares another calibration in the background
        cameras.publish(next(node.stamps))
        return len(node.grids) > 0 and np.array_equal(cells(node.grids[-1]) == -1, unknown)

    wait_for(is_right, what="the right grid")


def test_output_has_stamp_frame_and_values_of_its_topics(
    node: SimpleNamespace, cameras: Any, small_rig: Rig, fast_weights: Path
) -> None:
    from nav_msgs.msg import OccupancyGrid
    from sensor_msgs.msg import PointCloud2
    from std_msgs.msg import Float32
    from vision_msgs.msg import Detection3DArray
    from visualization_msgs.msg import MarkerArray

    kinds = {
        "probability_grid": OccupancyGrid,
        "centers": PointCloud2,
        "objects": Detection3DArray,
        "markers": MarkerArray,
        "debug/latency_ms/node": Float32,
    }
    others = {name: node.client.collect(f"/bev/{name}", kind) for name, kind in kinds.items()}
    for collected in others.values():
        node.client.wait_matched(collected)
    grid = publish_and_wait(node, cameras)
    origin = grid.info.origin
    assert grid.header.frame_id == "base_link"
    assert (origin.position.x, origin.position.y, origin.orientation.w) == (-16.0, -16.0, 1.0)
    assert set(grid.data) <= {-1, 0, 100}
    unknown = unknown_cells(small_rig, fast_weights)
    np.testing.assert_array_equal(cells(grid) == -1, unknown)
    probability = others["probability_grid"].wait_until(lambda m: m.header == grid.header)
    np.testing.assert_array_equal(cells(probability) == -1, unknown)
    assert max(probability.data) <= 100
    centers = others["centers"].wait_until(lambda message: message.header == grid.header)
    assert [field.name for field in centers.fields] == ["x", "y", "z", "score", "id", "vx", "vy"]
    objects = others["objects"].wait_until(lambda message: message.header == grid.header)
    assert len(objects.detections) == centers.width
    markers = others["markers"].wait_until(lambda m: m.markers[0].header == grid.header)
    assert len(markers.markers) == centers.width + 1
    assert others["debug/latency_ms/node"].wait(1)[-1].data > 0.0


def test_cells_that_only_a_lost_camera_sees_become_unknown(
    node: SimpleNamespace, cameras: Any, small_rig: Rig, fast_weights: Path
) -> None:
    publish_and_wait(node, cameras)
    cameras.silent.add("rear")
    grid = publish_and_wait(node, cameras)
    np.testing.assert_array_equal(
        cells(grid) == -1, unknown_cells(small_rig, fast_weights, without="rear")
    )
    cameras.silent.clear()
    publish_and_wait(node, cameras)
    grid = publish_and_wait(node, cameras)
    np.testing.assert_array_equal(cells(grid) == -1, unknown_cells(small_rig, fast_weights))


def test_the_set_that_all_cameras_stop_in_is_still_served(
    node: SimpleNamespace, cameras: Any
) -> None:
    publish_and_wait(node, cameras)
    publish_and_wait(node, cameras, names=["front"])


def test_threshold_changes_while_it_runs(node: SimpleNamespace, cameras: Any) -> None:
    before = publish_and_wait(node, cameras)
    assert node.client.set_parameters("/bev", occupancy_threshold=0.999)[0].successful
    after = publish_and_wait(node, cameras)
    assert 100 in set(before.data)
    assert 100 not in set(after.data)
    assert node.client.set_parameters("/bev", occupancy_threshold=0.5)[0].successful
    assert publish_and_wait(node, cameras).data == before.data


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("occupancy_threshold", 1.0, "out of range"),
        ("center_threshold", 7.0, "center_threshold"),
        ("min_area_m2", 0.0, "min_area_m2"),
        ("peak_radius_m", 0.0, "out of range"),
        ("weights", "other", "read when the node is configured"),
        ("cameras", ["front"], "read when the node is configured"),
    ],
)
def test_parameters_that_make_no_sense_now_are_refused_in_words(
    node: SimpleNamespace, name: str, value: Any, words: str
) -> None:
    result = node.client.set_parameters("/bev", **{name: value})[0]
    assert not result.successful
    assert words in result.reason


def test_stamps_that_go_back_begin_a_new_time_line(node: SimpleNamespace, cameras: Any) -> None:
    publish_and_wait(node, cameras)
    node.stamps = itertools.count(100 * SECOND, PERIOD_NS)
    for _ in range(3):
        publish_and_wait(node, cameras)
    node.process.wait_for_log("time went backwards")


def test_poses_of_a_time_line_that_ended_are_forgotten(node: SimpleNamespace, cameras: Any) -> None:
    """A bag of two seconds in a loop: its old poses must not be mixed with the new ones."""
    from tf2_msgs.msg import TFMessage

    node.client.wait_matched(node.client.publisher("/tf", TFMessage))
    flat = None
    for start in (500 * SECOND, 498 * SECOND):
        node.stamps = itertools.count(start, PERIOD_NS)
        for step in range(4):
            roll = 0.2 if start == 500 * SECOND else 0.0
            stamp_ns = start + step * PERIOD_NS
            cameras.publish_pose(stamp_ns, RigidTransform.from_euler(roll=roll))
            grid = publish_and_wait(node, cameras)
        flat = grid
    node.stamps = itertools.count(2000 * SECOND, PERIOD_NS)
    unlevelled = publish_and_wait(node, cameras)
    assert flat.data == unlevelled.data


def test_one_odd_stamp_of_one_camera_ends_no_time_line(
    node: SimpleNamespace, cameras: Any, small_rig: Rig, fast_weights: Path
) -> None:
    node.stamps = itertools.count(2500 * SECOND, PERIOD_NS)
    for _ in range(3):
        publish_and_wait(node, cameras)
    jumps = node.process.log.count("time went backwards")
    cameras.offset_ns["rear"] = 2 * SECOND
    odd = publish_and_wait(node, cameras)
    cameras.offset_ns.clear()
    publish_and_wait(node, cameras)  # goes without it, if its image is the last to arrive
    for grid, without in ((odd, "rear"), (publish_and_wait(node, cameras), "")):
        unknown = unknown_cells(small_rig, fast_weights, without)
        np.testing.assert_array_equal(cells(grid) == -1, unknown)
    assert node.process.log.count("time went backwards") == jumps


def test_another_calibration_is_taken_over_without_a_gap(
    node: SimpleNamespace, cameras: Any, small_rig: Rig, fast_weights: Path
) -> None:
    node.stamps = itertools.count(3000 * SECOND, PERIOD_NS)
    seen_before = (cells(publish_and_wait(node, cameras)) != -1).sum()

    def narrow(info: Any) -> Any:
        info.k[0], info.k[4] = 4.0 * info.k[0], 4.0 * info.k[4]
        return info

    cameras.spoil_info["front"] = narrow
    wait_for(
        lambda: (cells(publish_and_wait(node, cameras)) != -1).sum() < seen_before,
        what="the new CameraInfo's use",
    )
    cameras.spoil_info.clear()
    publish_until(node, cameras, unknown_cells(small_rig, fast_weights))


def test_a_camera_that_is_mounted_anew_is_taken_over_without_a_gap(
    node: SimpleNamespace, cameras: Any, small_rig: Rig, fast_weights: Path
) -> None:
    node.stamps = itertools.count(4000 * SECOND, PERIOD_NS)
    cameras.rig = small_rig.moved(RigidTransform.from_euler(yaw=math.radians(20.0)))
    cameras.publish_static()
    publish_until(node, cameras, unknown_cells(cameras.rig, fast_weights))
    cameras.rig = small_rig
    cameras.publish_static()
    publish_until(node, cameras, unknown_cells(small_rig, fast_weights))
