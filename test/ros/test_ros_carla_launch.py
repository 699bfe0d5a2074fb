# SPDX-License-Identifier: Apache-2.0
"""carla.launch.py of an installed package: its three sources, recording, and a server to start."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")
pytest.importorskip("launch_ros", reason="launch is part of a ROS 2 install, it has no wheel")

from carla_publishers import SECOND, ForeignCameras
from installed_launch import RIG, launch, prefix, started
from rosgraph_msgs.msg import Clock

from bev_perception.geometry import RigidTransform, load_rig
from bev_perception.ros.carla_defects import Defect
from bev_perception.ros.stamps import time_message

__all__ = ["launch", "prefix", "started"]
# CarlaUE4.sh in small: the simulator is a child that the script does not end.
SERVER = """#!/bin/sh
echo "$@" > {folder}/flags
{python} {folder}/simulator.py &
echo $! > {folder}/simulator.pid
wait
"""
SIMULATOR = """
import signal, socket
listener = socket.create_server(("localhost", {port}))
signal.pause()
"""


@pytest.fixture
def rig_file(tmp_path: Path) -> Path:
    path = tmp_path / "rig.yaml"
    path.write_text(RIG)
    return path


@pytest.fixture
def server(tmp_path: Path) -> tuple[Path, int]:
    """(a script like CarlaUE4.sh, its port)."""
    with socket.create_server(("localhost", 0)) as probe:
        port = probe.getsockname()[1]
    folder = tmp_path / "carla"
    folder.mkdir()
    (folder / "simulator.py").write_text(SIMULATOR.format(port=port))
    script = folder / "CarlaUE4.sh"
    script.write_text(SERVER.format(folder=folder, python=sys.executable))
    script.chmod(0o755)
    return script, port


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_own_source_gets_world_and_traffic_and_perception_the_cameras(
    started: Callable[..., Any], rig_file: Path
) -> None:
    result = started(
        "carla",
        "host:=10.0.0.7",
        "port:=2100",
        "town:=Town03",
        "seed:=7",
        "vehicles:=12",
        "passive:=true",
        f"rig_file:={rig_file}",
        "image_transport:=compressed",
        "weights:=own.safetensors",
        "wait_for_topic:=/bev/occupancy_grid",
        "rviz:=false",
    )
    node, perception = result["carla_node"], result["perception_node"]
    expected = {
        "host": "10.0.0.7",
        "port": 2100,
        "town": "Town03",
        "seed": 7,
        "vehicles": 12,
        "walkers": 20,
        "passive": True,
        "rate_hz": 10.0,
        "role_name": "hero",
        "rig_file": str(rig_file),
        "jpeg_quality": 90,
        "wait_for_topic": "/bev/occupancy_grid",
    }
    assert {name: node["parameters"][name] for name in expected} == expected
    assert node["rules"]["__node"] == "carla"
    assert perception["rules"]["~/input/bow/image"] == "/camera/bow/image_raw/compressed"
    expected = {"cameras": ["bow"], "use_sim_time": True, "weights": "own.safetensors"}
    assert {name: perception["parameters"][name] for name in expected} == expected
    assert perception["parameters"]["rig_file"] == "", "learned from CameraInfo and TF"
    assert "carla_adapter_node" not in result


@pytest.mark.parametrize(("source", "role"), [("ros_bridge", "ego_vehicle"), ("native", "hero")])
def test_other_sources_are_adapted_and_their_images_read_where_they_are(
    source: str, role: str, started: Callable[..., Any], rig_file: Path
) -> None:
    arguments = (f"rig_file:={rig_file}", "ego_position:=[1.5, 0.0, 0.2]", "rviz:=false")
    result = started("carla", f"source:={source}", *arguments)
    adapter, perception = result["carla_adapter_node"], result["perception_node"]
    expected = {
        "source": source,
        "role_name": role,
        "rig_file": str(rig_file),
        "ego_position": [1.5, 0.0, 0.2],
        "image_topic": "/carla/{role}/{camera}/image",
        "mounted_as_rig": False,
    }
    assert {name: adapter["parameters"][name] for name in expected} == expected
    assert perception["rules"]["~/input/bow/image"] == f"/carla/{role}/bow/image"
    assert perception["rules"]["~/input/bow/camera_info"] == "/camera/bow/camera_info"
    assert "carla_node" not in result


def test_everything_ends_when_the_source_of_the_cameras_ends(
    started: Callable[..., Any],
) -> None:
    result = started("carla", "rviz:=false", STAYS="1")
    assert "shutting down launched system" in result["output"]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("source:=gazebo", "source:=gazebo must be one of own, ros_bridge, native"),
        ("record:=maybe", "record:=maybe must be true or false"),
        ("rig_file:=/nowhere.yaml", "/nowhere.yaml"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    argument: str, message: str, started: Callable[..., Any]
) -> None:
    result = started("carla", argument)
    assert message in result["output"]
    assert "carla_node" not in result


def test_without_ros2_bag_bev_record_records(started: Callable[..., Any], tmp_path: Path) -> None:
    if "ros2bag" in os.environ.get("AMENT_PREFIX_PATH", ""):
        pytest.skip("ros2 bag is installed")
    result = started("carla", "record:=true", "output:=drive_1", "rviz:=false", STAYS="1")
    assert "bev_record" in result["output"]


def test_nodes_start_once_the_server_listens_and_the_server_ends_with_them(
    started: Callable[..., Any],
    server: tuple[Path, int],
    wait_until: Callable[..., Any],
) -> None:
    script, port = server
    result = started("carla", f"server:={script}", f"port:={port}", "rviz:=false")
    assert result["carla_node"]["parameters"]["port"] == port
    flags = (script.parent / "flags").read_text().split()
    assert "-RenderOffScreen" in flags
    assert f"-carla-rpc-port={port}" in flags
    assert "--ros2" not in flags
    pid = int((script.parent / "simulator.pid").read_text())
    wait_until(lambda: not is_running(pid), 5.0, "the end of the simulator")


def test_the_servers_own_topics_are_switched_on_for_native(
    started: Callable[..., Any], server: tuple[Path, int]
) -> None:
    script, port = server
    arguments = (f"server:={script}", f"port:={port}", "server_quality:=Low", "rviz:=false")
    started("carla", "source:=native", *arguments)
    flags = (script.parent / "flags").read_text().split()
    assert "--ros2" in flags
    assert "-quality-level=Low" in flags


def test_a_server_that_does_not_listen_in_time_ends_everything_with_words(
    started: Callable[..., Any], server: tuple[Path, int], wait_until: Callable[..., Any]
) -> None:
    script, _ = server
    (script.parent / "simulator.py").write_text("import signal; signal.pause()")
    with socket.create_server(("localhost", 0)) as probe:
        port = probe.getsockname()[1]
    result = started("carla", f"server:={script}", f"port:={port}", "server_timeout_s:=1")
    assert f"nobody listens on localhost:{port} after 1 s" in result["output"]
    assert "carla_node" not in result
    pid = int((script.parent / "simulator.pid").read_text())
    wait_until(lambda: not is_running(pid), 5.0, "the end of the simulator")


def test_the_bridges_cameras_bring_grids(
    launch: Callable[..., Any],
    rig_file: Path,
    client: Any,
    fast_weights: Path,
    wait_until: Callable[..., Any],
) -> None:
    """The real nodes, as a user starts them."""
    from nav_msgs.msg import OccupancyGrid

    rig = load_rig(rig_file)
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    base_T_ego = RigidTransform.from_euler(translation=(1.4, 0.0, 0.0))
    cameras = ForeignCameras(
        client, rig, {"bow": image}, "ego_vehicle", base_T_ego, "ego_vehicle/", {Defect.HALF_PIXEL}
    )
    grids = client.collect("/bev/occupancy_grid", OccupancyGrid)
    clock = client.publisher("/clock", Clock)
    arguments = (f"rig_file:={rig_file}", f"weights:={fast_weights}", "device:=cpu", "rviz:=false")
    launched = launch("carla", "source:=ros_bridge", *arguments)
    stamps = itertools.count(10 * SECOND, SECOND // 20)

    def tick() -> bool:
        stamp_ns = next(stamps)
        clock.publish(Clock(clock=time_message(stamp_ns)))
        cameras.publish(stamp_ns, RigidTransform.identity())
        return len(grids) > 2

    wait_until(tick, 40.0, "grids")
    assert grids[-1].header.frame_id == "base_link"
    assert launched.stop() == 0
    assert "camera 'bow' repaired" in launched.log
    cameras.close()


def test_a_server_that_is_not_there_is_told() -> None:
    line = [sys.executable, "-m", "bev_perception.ros.carla_server", "/nowhere/CarlaUE4.sh"]
    result = subprocess.run(line, capture_output=True, text=True)
    assert result.returncode == 2
    assert "carla_server: error: /nowhere/CarlaUE4.sh cannot be started" in result.stderr
