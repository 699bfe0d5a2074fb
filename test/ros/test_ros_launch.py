# SPDX-License-Identifier: Apache-2.0
"""Launch files of an installed package: arguments, wiring, and nodes that really start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")
pytest.importorskip("launch_ros", reason="launch is part of a ROS 2 install, it has no wheel")

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from installed_launch import RIG, ROOT, launch, launch_file, prefix, started
from launch import LaunchDescription
from launch.launch_description_sources import get_launch_description_from_python_launch_file

from bev_perception.faults.processes import kill_at_once
from bev_perception.ros.environment import PROFILE_VARIABLES

__all__ = ["launch", "prefix", "started"]
CAMERAS = ("front", "left", "rear", "right")


@pytest.mark.parametrize("name", ["perception", "simulation", "carla", "record"])
def test_every_argument_is_described_and_has_a_default(name: str, prefix: Path) -> None:
    description = get_launch_description_from_python_launch_file(launch_file(prefix, name))
    assert isinstance(description, LaunchDescription)
    arguments = description.get_launch_arguments()
    assert len(arguments) > 5
    for argument in arguments:
        assert len(argument.description) > 10, argument.name
        assert argument.default_value is not None, argument.name


def test_the_node_gets_the_shipped_parameters_and_the_common_topics(
    started: Callable[..., Any],
) -> None:
    node = started("perception")["perception_node"]
    assert node["rules"] == {
        "__node": "bev",
        "__ns": "/",
        **{f"~/input/{name}/image": f"/camera/{name}/image_raw" for name in CAMERAS},
        **{f"~/input/{name}/camera_info": f"/camera/{name}/camera_info" for name in CAMERAS},
        "~/input/points": "/lidar/points",
        "~/input/imu": "/imu/data",
    }
    shipped = yaml.safe_load((ROOT / "config" / "perception.yaml").read_text())
    assert node["parameters"] == shipped["/**"]["ros__parameters"]


def test_arguments_win_over_the_parameter_file(started: Callable[..., Any]) -> None:
    node = started(
        "perception",
        "cameras:=front, rear",
        "namespace:=car1",
        "image_topic:=/sensing/{camera}/image",
        "camera_info_topic:=info/{camera}",
        "image_transport:=compressed",
        "weights:=1",
        "device:=cpu",
        "precision:=fp32",
        "rig_file:=/rigs/car.yaml",
        "autostart:=false",
        "use_sim_time:=true",
        "log_level:=warn",
        "standby:=true",
    )["perception_node"]
    assert node["rules"] == {
        "__node": "bev",
        "__ns": "/car1",
        "~/input/front/image": "/sensing/front/image/compressed",
        "~/input/rear/image": "/sensing/rear/image/compressed",
        "~/input/front/camera_info": "info/front",
        "~/input/rear/camera_info": "info/rear",
        "~/input/points": "/lidar/points",
        "~/input/imu": "/imu/data",
    }
    expected = {
        "cameras": ["front", "rear"],
        "image_transport": "compressed",
        "weights": "1",
        "device": "cpu",
        "precision": "fp32",
        "rig_file": "/rigs/car.yaml",
        "autostart": False,
        "use_sim_time": True,
    }
    assert {name: node["parameters"][name] for name in expected} == expected
    assert node["line"][node["line"].index("--log-level") + 1] == "warn"
    assert node["line"][0] == "--standby"


@pytest.mark.parametrize("name", ["/car1/bev", "/**/bev"])
def test_topics_follow_cameras_and_transport_of_the_parameter_file(
    name: str, started: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "own.yaml"
    values = {"cameras": ["roof"], "image_transport": "compressed"}
    path.write_text(yaml.safe_dump({name: {"ros__parameters": values}}))
    node = started("perception", f"params_file:={path}", "namespace:=car1")["perception_node"]
    assert node["rules"]["~/input/roof/image"] == "/camera/roof/image_raw/compressed"
    assert node["parameters"] == values


def test_simulation_ends_when_the_town_ends(started: Callable[..., Any]) -> None:
    result = started("simulation", "rviz:=false", STAYS="1")
    assert "shutting down launched system" in result["output"]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("image_topic:=/image", "image_topic:=/image is the same topic for all of front, left"),
        ("autostart:=maybe", "autostart:=maybe must be true or false"),
        ("params_file:=/nowhere.yaml", "params_file /nowhere.yaml: FileNotFoundError"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    argument: str, message: str, started: Callable[..., Any]
) -> None:
    result = started("perception", argument)
    assert message in result["output"]
    assert "perception_node" not in result


def test_rviz_shows_the_topics_of_the_node(started: Callable[..., Any]) -> None:
    arguments = ("rviz:=true", "namespace:=car1", "image_topic:=/sensing/{camera}/image")
    rviz = started("perception", *arguments, "use_sim_time:=true", rviz=True)["rviz2"]
    assert Path(rviz["line"][rviz["line"].index("-d") + 1]).name == "bev.rviz"
    assert rviz["rules"]["/bev/occupancy_grid"] == "/car1/bev/occupancy_grid"
    assert rviz["rules"]["/camera/front/image_raw"] == "/sensing/front/image"
    assert rviz["parameters"] == {"use_sim_time": True}


def test_without_rviz_the_node_starts_and_the_way_to_it_is_told(
    started: Callable[..., Any],
) -> None:
    try:
        get_package_prefix("rviz2")
        pytest.skip("RViz is installed")
    except PackageNotFoundError:
        result = started("perception", "rviz:=true")
    assert "RViz is not installed" in result["output"]
    assert "bev view" in result["output"]
    assert "perception_node" in result


@pytest.mark.parametrize("name", ["perception", "simulation"])
def test_the_shipped_transport_is_set_unless_the_user_has_chosen(
    name: str, started: Callable[..., Any]
) -> None:
    node = started(name, "rviz:=false")["perception_node"]
    assert all(node["environment"][key].endswith("fastdds.xml") for key in PROFILE_VARIABLES)


def test_a_transport_of_the_user_is_kept(started: Callable[..., Any]) -> None:
    own = {"FASTRTPS_DEFAULT_PROFILES_FILE": "/etc/own.xml"}
    environment = started("perception", **own)["perception_node"]["environment"]
    assert environment["FASTRTPS_DEFAULT_PROFILES_FILE"] == "/etc/own.xml"
    assert "FASTDDS_DEFAULT_PROFILES_FILE" not in environment


def test_simulation_hands_its_arguments_to_town_and_node(
    started: Callable[..., Any], tmp_path: Path
) -> None:
    rig = tmp_path / "rig.yaml"
    rig.write_text(RIG)
    result = started(
        "simulation",
        f"rig_file:={rig}",
        "town:=11007",
        "rate_hz:=5",
        "lidar:=true",
        "labelled_points:=true",
        "weather:=rain",
        "image_transport:=compressed",
        "weights:=own.safetensors",
        "rviz:=false",
    )
    town, node = result["simulation_node"], result["perception_node"]
    assert town["rules"]["__node"] == "town"
    assert town["parameters"] == {
        "town": 11007,
        "traffic_seed": -1,
        "weather": "rain",
        "lidar": True,
        "rate_hz": 5.0,
        "max_real_time_factor": 1.0,
        "num_sets": 0,
        "rig_file": str(rig),
        "jpeg_quality": 90,
    }
    assert node["rules"]["~/input/bow/image"] == "/camera/bow/image_raw/compressed"
    expected = {
        "cameras": ["bow"],
        "use_sim_time": True,
        "labelled_points": True,
        "weights": "own.safetensors",
    }
    assert {name: node["parameters"][name] for name in expected} == expected
    assert node["parameters"]["rig_file"] == "", "the node learns the rig from CameraInfo and TF"


def test_perception_starts_on_drivers_topics_and_a_grid_comes(
    launch: Callable[..., Any], cameras: Any, client: Any, fast_weights: Path
) -> None:
    from nav_msgs.msg import OccupancyGrid

    grids = client.collect("/car1/bev/occupancy_grid", OccupancyGrid)
    launched = launch("perception", f"weights:={fast_weights}", "device:=cpu", "namespace:=car1")
    cameras.start()
    (grid, *_) = grids.wait()
    assert grid.header.frame_id == "base_link"
    assert launched.stop() == 0
    assert "process has finished cleanly" in launched.log


@pytest.mark.slow
def test_a_node_that_was_killed_is_started_again_where_that_is_asked_for(
    launch: Callable[..., Any], cameras: Any, client: Any, fast_weights: Path
) -> None:
    from nav_msgs.msg import OccupancyGrid

    grids = client.collect("/bev/occupancy_grid", OccupancyGrid)
    launched = launch("perception", f"weights:={fast_weights}", "device:=cpu", "respawn:=true")
    cameras.start()
    grids.wait()
    node = int(launched.wait_for_log(r"process started with pid \[(\d+)\]").group(1))
    kill_at_once(node)
    launched.wait_for_log("process has died")
    grids.clear()
    grids.wait()
    assert launched.stop() == 0


def test_a_manager_starts_what_does_not_start_itself(
    launch: Callable[..., Any], client: Any, fast_weights: Path, wait_until: Callable[..., Any]
) -> None:
    from lifecycle_msgs.msg import State, Transition
    from lifecycle_msgs.srv import ChangeState, GetState

    launch("perception", f"weights:={fast_weights}", "device:=cpu", "autostart:=false")
    state = client.call("/bev/get_state", GetState, GetState.Request()).current_state.id
    assert state == State.PRIMARY_STATE_UNCONFIGURED
    change = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
    assert client.call("/bev/change_state", ChangeState, change).success


def test_simulation_brings_grids_of_the_town(
    launch: Callable[..., Any], client: Any, fast_weights: Path, tmp_path: Path
) -> None:
    pytest.importorskip("moderngl", reason="the town needs moderngl")
    from nav_msgs.msg import OccupancyGrid

    rig = tmp_path / "rig.yaml"
    rig.write_text(RIG)
    grids = client.collect("/bev/occupancy_grid", OccupancyGrid)
    arguments = [f"weights:={fast_weights}", f"rig_file:={rig}", "town:=11007", "rviz:=false"]
    launched = launch("simulation", *arguments, "device:=cpu", "num_sets:=200", "rate_hz:=20.0")
    (grid, *_) = grids.wait(timeout_s=60.0)
    assert grid.header.frame_id == "base_link"
    assert grid.header.stamp.sec < 60, "stamps are those of the simulated clock"
    assert launched.stop() == 0


@pytest.mark.parametrize("name", ["perception", "simulation", "carla"])
def test_security_without_a_keystore_starts_nothing(started: Callable[..., Any], name: str) -> None:
    refused = started(name, "security:=true")
    assert "needs keystore:=FOLDER" in refused["output"]
    assert "perception_node" not in refused


@pytest.mark.parametrize("name", ["perception", "simulation", "carla"])
def test_a_keystore_secures_all_processes(
    started: Callable[..., Any], tmp_path: Path, name: str
) -> None:
    keystore = tmp_path / "keys"
    (keystore / "enclaves").mkdir(parents=True)
    (keystore / "enclaves" / "governance.p7s").touch()
    nodes = started(name, "security:=true", f"keystore:={keystore}")
    enclaves = {"perception_node": "perception", "simulation_node": "town", "carla_node": "carla"}
    found = {key: value for key, value in nodes.items() if key in enclaves}
    assert "perception_node" in found
    for executable, entry in found.items():
        line = entry["line"]
        assert line[line.index("--enclave") + 1] == f"/bev_perception/{enclaves[executable]}"
        assert entry["environment"]["ROS_SECURITY_ENABLE"] == "true"
        assert entry["environment"]["ROS_SECURITY_STRATEGY"] == "Enforce"
        assert entry["environment"]["ROS_SECURITY_KEYSTORE"] == str(keystore)


def test_without_security_nothing_asks_for_it(started: Callable[..., Any]) -> None:
    node = started("perception")["perception_node"]
    assert "--enclave" not in node["line"]
    assert "ROS_SECURITY_ENABLE" not in node["environment"]
