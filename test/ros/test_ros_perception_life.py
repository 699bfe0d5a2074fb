# SPDX-License-Identifier: Apache-2.0
"""Perception nodes that start, wait, hurry and end, each a process of its own."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grid_messages import SECOND, cells, stamp_of, unknown_cells
from ros_processes import PERCEPTION

from bev_perception.geometry import Rig, load_rig_file
from bev_perception.resources import config_path

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")


@pytest.fixture
def drivers(client: Any, make_cameras: Callable[..., Any]) -> Any:
    """Cameras announced before the node starts, so that it knows them all when it is matched."""
    from sensor_msgs.msg import CameraInfo, Image

    found = make_cameras(client)
    for name in found.rig:
        client.publisher(found.image_topic(name), Image, found.image_qos)
        client.publisher(f"/camera/{name}/camera_info", CameraInfo)
    return found


def test_a_camera_without_calibration_holds_nobody_up(
    perception_node: Callable[..., Any],
    client: Any,
    drivers: Any,
    small_rig: Rig,
    fast_weights: Path,
) -> None:
    from nav_msgs.msg import OccupancyGrid

    grids = client.collect("/bev/occupancy_grid", OccupancyGrid)
    process = perception_node(diagnostics_period_s=0.1)
    drivers.wait_matched()
    drivers.without_info.add("right")
    drivers.start(20.0)
    expected = unknown_cells(small_rig, fast_weights, without="right")
    grids.wait_until(lambda grid: np.array_equal(cells(grid) == -1, expected))
    process.wait_for_log("camera right: .*camera_info")
    drivers.without_info.clear()
    expected = unknown_cells(small_rig, fast_weights)
    grids.wait_until(lambda grid: np.array_equal(cells(grid) == -1, expected))


def test_a_manager_leads_it_through_its_life(
    perception_node: Callable[..., Any],
    client: Any,
    drivers: Any,
    wait_until: Callable[..., Any],
) -> None:
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState, GetState
    from nav_msgs.msg import OccupancyGrid

    def after(transition: int) -> str:
        """The state that the transition leads to."""
        request = ChangeState.Request(transition=Transition(id=transition))
        client.call("/bev/change_state", ChangeState, request)
        return client.call("/bev/get_state", GetState, GetState.Request()).current_state.label

    grids = client.collect("/bev/occupancy_grid", OccupancyGrid)
    process = perception_node(autostart=False, weights="no_such_weights")
    assert after(Transition.TRANSITION_ACTIVATE) == "unconfigured"
    assert after(Transition.TRANSITION_CONFIGURE) == "unconfigured"
    process.wait_for_log("no shipped weights named 'no_such_weights'")
    assert client.set_parameters("/bev", weights="tiny")[0].successful
    assert after(Transition.TRANSITION_CONFIGURE) == "inactive"
    client.wait_matched(grids)
    image = client.publisher(drivers.image_topic("front"), None)
    assert image.get_subscription_count() == 0
    for _ in range(2):
        assert after(Transition.TRANSITION_ACTIVATE) == "active"
        drivers.wait_matched()
        drivers.start(10.0)
        grids.clear()
        grids.wait(2)
        drivers.stop()
        assert after(Transition.TRANSITION_DEACTIVATE) == "inactive"
        wait_until(lambda: image.get_subscription_count() == 0, what="no more subscriptions")
    assert after(Transition.TRANSITION_CLEANUP) == "unconfigured"
    wait_until(lambda: client.node.count_publishers("/bev/occupancy_grid") == 0, what="no output")
    assert after(Transition.TRANSITION_UNCONFIGURED_SHUTDOWN) == "finalized"
    assert process.stop() == 0


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"weights": "no_such_weights"}, "no shipped weights named 'no_such_weights'"),
        ({"use_sim_time": "maybe"}, "'use_sim_time' to 'maybe'"),
        ({"rig_file": "/no/such/file.yaml"}, "/no/such/file.yaml cannot be read"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_start_ends_with_code_2_and_one_line(
    perception_node: Callable[..., Any], parameters: dict[str, Any], words: str
) -> None:
    process = perception_node(**parameters)
    assert process.wait() == 2
    lines = [line for line in process.log.splitlines() if "localhost" not in line.lower()]
    assert len(lines) == 1
    assert words in lines[0]


def test_arguments_that_ros_does_not_understand_are_told_in_one_line(
    ros_process: Callable[..., Any],
) -> None:
    process = ros_process(PERCEPTION, "--ros-args", "--params-file", "/no/such/file.yaml")
    assert process.wait() == 2
    assert "Traceback" not in process.log
    assert "/no/such/file.yaml" in process.log.splitlines()[-1]


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        *itertools.product(["importing ROS", "importing torch"], [signal.SIGINT, signal.SIGTERM]),
        ("importing OpenVINO", signal.SIGINT),
        ("configuring", signal.SIGTERM),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_signal_while_it_starts_ends_it_without_a_word(
    ros_process: Callable[..., Any],
    client: Any,
    wait_until: Callable[..., Any],
    moment: str,
    number: signal.Signals,
) -> None:
    if moment == "importing OpenVINO":
        pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")
    process = ros_process(PERCEPTION)
    memory = Path(f"/proc/{process.process.pid}/maps")
    has_come: dict[str, Callable[[], bool]] = {
        "importing ROS": lambda: "_rclpy_pybind11" in memory.read_text(),
        "importing torch": lambda: "libtorch_cpu" in memory.read_text(),
        "importing OpenVINO": lambda: "_pyopenvino" in memory.read_text(),
        "configuring": lambda: (
            has_come["importing torch"]() and "bev" in client.node.get_node_names()
        ),
    }
    wait_until(has_come[moment], what=moment)
    assert process.stop(number) == 0
    assert "Traceback" not in process.log


def test_an_impatient_ctrl_c_does_not_tear_its_end(
    perception_node: Callable[..., Any], client: Any, drivers: Any
) -> None:
    process = perception_node()
    drivers.wait_matched()
    drivers.start(20.0)
    process.wait_for_log("first grid is out")
    while process.process.poll() is None:
        process.process.send_signal(signal.SIGINT)
        time.sleep(0.01)
    assert process.wait() == 0
    assert "Traceback" not in process.log


def test_newest_data_win_where_cameras_are_faster_than_the_engine(
    perception_node: Callable[..., Any], client: Any, drivers: Any
) -> None:
    """The shipped network on one thread takes several periods of these cameras."""
    from diagnostic_msgs.msg import DiagnosticArray
    from nav_msgs.msg import OccupancyGrid
    from std_msgs.msg import Float32

    grids = client.collect("/bev/occupancy_grid", OccupancyGrid)
    latencies = {
        stage: client.collect(f"/bev/debug/latency_ms/{stage}", Float32)
        for stage in ("total", "engine")
    }
    diagnostics = client.collect("/diagnostics", DiagnosticArray)
    perception_node(weights="tiny", diagnostics_period_s=0.2)
    drivers.wait_matched()
    for latency in latencies.values():
        client.wait_matched(latency)
    drivers.start(60.0)
    grids.wait(15, timeout_s=60.0)
    message = diagnostics.wait_until(
        lambda message: any(
            value.key == "dropped: busy" and int(value.value) > 5
            for status in message.status
            for value in status.values
        )
    )
    assert message is not None
    engine_ms = [entry.data for entry in latencies["engine"].messages[2:]]
    total_ms = [entry.data for entry in latencies["total"].messages[2:]]
    assert np.median(total_ms[-8:]) < 2.5 * np.median(engine_ms) + 50.0, "sets wait in a queue"
    assert max(total_ms) < 4.0 * max(engine_ms) + 100.0, "a set was kept for later"
    stamps = [stamp_of(grid) for grid in grids.messages]
    assert stamps == sorted(set(stamps))


def test_latched_grids_reach_late_subscribers(
    perception_node: Callable[..., Any],
    client: Any,
    drivers: Any,
    wait_until: Callable[..., Any],
) -> None:
    from nav_msgs.msg import OccupancyGrid
    from rclpy.qos import DurabilityPolicy, QoSProfile

    process = perception_node(grid_durability="transient_local")
    drivers.wait_matched()
    stamps = []

    def first_grid_is_out() -> bool:
        stamps.append(drivers.publish())
        return "first grid is out" in process.log

    wait_until(first_grid_is_out)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    for topic in ("/bev/occupancy_grid", "/bev/probability_grid"):
        assert stamp_of(client.collect(topic, OccupancyGrid, latched).wait(1)[0]) in stamps


def test_a_rig_file_stands_in_for_camera_info_and_tf(
    perception_node: Callable[..., Any],
    client: Any,
    small_rig: Rig,
    fast_weights: Path,
    wait_until: Callable[..., Any],
    tmp_path: Path,
) -> None:
    from nav_msgs.msg import OccupancyGrid
    from sensor_msgs.msg import Image

    rig_file = tmp_path / "rig.yaml"
    shipped = load_rig_file(config_path("rigs/default.yaml"))
    lines = ["base_frame: hero", "cameras:"]
    for name in small_rig:
        lens = small_rig[name].camera
        x, y, z = shipped.cameras[name].base_T_camera.translation
        yaw = {"front": 0, "left": 90, "rear": 180, "right": -90}[name]
        lines.append(
            f"  {name}: {{width: {lens.width}, height: {lens.height}, horizontal_fov_deg: 90, "
            f"position: [{x}, {y}, {z}], rpy_deg: [0, 0, {yaw}]}}"
        )
    rig_file.write_text("\n".join(lines))
    grids = client.collect("/bev/occupancy_grid", OccupancyGrid)
    perception_node(rig_file=str(rig_file))
    image = Image(height=64, width=96, encoding="rgb8", step=288)
    image.data = np.random.default_rng(0).integers(0, 256, 96 * 64 * 3, np.uint8).tobytes()

    expected = unknown_cells(load_rig_file(rig_file).rig(), fast_weights)

    def is_right() -> bool:
        for name in small_rig:
            image.header.stamp = client.node.get_clock().now().to_msg()
            client.publish(f"/camera/{name}/image_raw", image)
        return len(grids) > 0 and np.array_equal(cells(grids[-1]) == -1, expected)

    wait_until(is_right, what="a grid of all cameras")
    assert grids[-1].header.frame_id == "hero"


def test_simulated_time_may_stand_still_and_go_back(
    perception_node: Callable[..., Any],
    client: Any,
    drivers: Any,
    wait_until: Callable[..., Any],
) -> None:
    from nav_msgs.msg import OccupancyGrid
    from rosgraph_msgs.msg import Clock

    def moment(stamp_ns: int, *names: str) -> bool:
        """One set at that simulated time; whether its grid is there."""
        clock = Clock()
        clock.clock.sec, clock.clock.nanosec = divmod(stamp_ns, SECOND)
        client.publish("/clock", clock)
        drivers.publish(stamp_ns, names or None)
        return any(stamp_of(grid) == stamp_ns for grid in list(grids.messages))

    grids = client.collect("/bev/occupancy_grid", OccupancyGrid)
    client.publisher("/clock", Clock)
    process = perception_node(use_sim_time=True, sync_timeout_ms=50, diagnostics_period_s=0.1)
    drivers.wait_matched()
    wait_until(lambda: moment(100 * SECOND), what="a grid at 100 s")
    wait_until(lambda: moment(101 * SECOND, "front", "left"), what="a grid at 101 s")
    wait_until(lambda: moment(90 * SECOND), what="a grid at 90 s")
    process.wait_for_log("time went backwards")
    before = Clock()
    before.clock.sec = -5  # ends rclpy's own spin
    client.publish("/clock", before)
    process.wait_for_log("look for who publishes it")
    wait_until(lambda: moment(91 * SECOND), what="a grid after an impossible time")
