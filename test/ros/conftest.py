# SPDX-License-Identifier: Apache-2.0
"""Real nodes in real processes, a client that talks to them, cameras, and a network of no weight.

Every pytest process has a DDS domain of its own that does not leave this machine. Nothing
sleeps: wait_until and the clients' wait methods wait for what the test needs.

    def test_grid(perception_node, client, cameras):
        grids = client.collect("/bev/occupancy_grid", OccupancyGrid)
        perception_node(min_cameras=2)
        cameras.wait_matched()
        cameras.publish(stamp_ns=SECOND)
        assert grids.wait(1)[0].header.frame_id == "base_link"
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # ros_client and the like

from ros_cameras import IMAGE_SIZE, Cameras
from ros_client import Client
from ros_processes import RosProcess, RosProcesses, perception_starter, wait_for
from ros_transport import quick_profiles

from bev_perception.cli.ros_domain import own_domain
from bev_perception.geometry import Rig, load_rig
from bev_perception.resources import config_path


@pytest.fixture(scope="session")
def ros_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """rclpy, initialised in a domain of this pytest process alone."""
    rclpy = pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")
    if importlib.util.find_spec("tf2_msgs") is None:
        pytest.skip("tf2_msgs is not installed: `make ros` generates it")
    from rclpy.signals import SignalHandlerOptions

    with pytest.MonkeyPatch.context() as patch:
        for name in ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY"):
            patch.delenv(name, raising=False)
        patch.setenv("OMP_WAIT_POLICY", "PASSIVE")
        patch.setenv("PYTHONUNBUFFERED", "1")
        for variable, path in quick_profiles(tmp_path_factory.mktemp("transport")).items():
            patch.setenv(variable, str(path))
        with own_domain():
            rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
            holder = rclpy.create_node("test_domain")  # so that nobody else finds it free
            yield rclpy
            holder.destroy_node()
            rclpy.shutdown()


@pytest.fixture
def wait_until() -> Callable[..., Any]:
    """wait_until(condition, timeout_s, what): the first true value."""
    return wait_for


@pytest.fixture
def ros_process(ros_environment: Any, tmp_path: Path) -> Iterator[RosProcesses]:
    """Starts ``python -m module`` and ends it after the test: see RosProcesses."""
    processes = RosProcesses(tmp_path)
    yield processes
    processes.stop()


@pytest.fixture(scope="module")
def ros_process_of_module(
    ros_environment: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RosProcesses]:
    """The same for nodes that all tests of a file share."""
    processes = RosProcesses(tmp_path_factory.mktemp("nodes"))
    yield processes
    processes.stop()


@pytest.fixture
def client(ros_environment: Any) -> Iterator[Client]:
    """A node of the test's own."""
    node = Client(ros_environment, "test_client")
    yield node
    node.close()


@pytest.fixture(scope="module")
def client_of_module(ros_environment: Any) -> Iterator[Client]:
    """A node that all tests of a file share."""
    node = Client(ros_environment, "test_client_of_module")
    yield node
    node.close()


@pytest.fixture(scope="session")
def small_rig() -> Rig:
    """The default rig with images of IMAGE_SIZE."""
    rig = load_rig(config_path("rigs/default.yaml"))
    return Rig({name: rig[name].resized(*IMAGE_SIZE) for name in rig})


@pytest.fixture
def make_cameras(small_rig: Rig) -> Iterator[Callable[..., Cameras]]:
    """make_cameras(client, image_qos, frames): drivers, and /tf_static of frames or of all."""
    made: list[Cameras] = []

    def make(client: Client, frames: Iterable[str] | None = None, **options: Any) -> Cameras:
        cameras = Cameras(client, small_rig, **options)
        cameras.publish_static(frames)
        made.append(cameras)
        return cameras

    yield make
    for cameras in made:
        cameras.close()


@pytest.fixture
def cameras(client: Client, make_cameras: Callable[..., Cameras]) -> Cameras:
    """Four drivers of the test's client."""
    return make_cameras(client)


@pytest.fixture(scope="session")
def fast_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that takes a few milliseconds."""
    from tiny_network import save_tiny_network

    return save_tiny_network(tmp_path_factory.mktemp("weights") / "fast.safetensors")


@pytest.fixture
def perception_node(ros_process: RosProcesses, fast_weights: Path) -> Callable[..., RosProcess]:
    """perception_node(name="bev", **parameters): the perception node of one test."""
    return perception_starter(ros_process, fast_weights)


@pytest.fixture(scope="module")
def perception_node_of_module(
    ros_process_of_module: RosProcesses, fast_weights: Path
) -> Callable[..., RosProcess]:
    """perception_node_of_module(name="bev", **parameters): for all tests of a file."""
    return perception_starter(ros_process_of_module, fast_weights)
