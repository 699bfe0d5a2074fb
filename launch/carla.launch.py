# SPDX-License-Identifier: Apache-2.0
"""From a CARLA server to the grid: ego vehicle, cameras, truth, perception, RViz, a bag.

    ros2 launch bev_perception carla.launch.py town:=Town03 vehicles:=60 record:=true
    ros2 launch bev_perception carla.launch.py server:=~/carla/CarlaUE4.sh
    ros2 launch bev_perception carla.launch.py source:=ros_bridge role_name:=ego_vehicle

source:=own makes the vehicle and its cameras; ros_bridge and native listen to the cameras that
carla_ros_bridge or the server itself publishes, check them against rig_file, and correct or
refuse them.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, List  # noqa: UP035

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchContext, LaunchDescription
from launch.actions import (
    ExecuteProcess,
    IncludeLaunchDescription,
    RegisterEventHandler,
    Shutdown,
)
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import TextSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from bev_perception.errors import ConfigurationError
from bev_perception.geometry.rig_file import load_rig
from bev_perception.resources import config_path
from bev_perception.ros.launch_arguments import PERCEPTION, described, enclave

FOLDER = Path(__file__).resolve().parent
JPEG_QUALITY = 90
SOURCES = ("own", "ros_bridge", "native")
ROLES = {"own": "hero", "ros_bridge": "ego_vehicle", "native": "hero"}
COMPLETION_S = "60"
"""Seconds that a recorder gets after Ctrl-C to write what it has in memory."""
SERVER_SIGTERM_S = "15"
"""Longer than the server's wrapper needs to end it."""

# Parameters of the CARLA node: type, default, description. Empty: as carla_params_file.
WORLD = {
    "town": (str, "", "map to load, such as Town03; empty: the one that is loaded"),
    "seed": (int, "0", "of spawn points, traffic and its behaviour"),
    "vehicles": (int, "40", "other vehicles to spawn"),
    "walkers": (int, "20", "people on foot to spawn"),
    "weather": (str, "", "preset such as WetCloudySunset; empty: as it is"),
    "rate_hz": (float, "10.0", "camera sets per second of simulated time"),
    "fixed_delta_s": (float, "0.05", "simulated seconds per tick"),
    "num_sets": (int, "0", "ends everything after so many camera sets; 0: drives without end"),
    "passive": (bool, "false", "whether another client ticks the world"),
    "ego_mode": (str, "spawn", "spawn the ego vehicle, or take the existing one of role_name"),
    "ego_blueprint": (str, "vehicle.tesla.model3", "what the ego vehicle is made of"),
    "autopilot": (bool, "true", "whether the traffic manager drives the ego vehicle"),
    "reliability": (str, "reliable", "of images and CameraInfo: reliable or best_effort"),
    "wait_for_topic": (
        str,
        "",
        "lockstep: the next set is made once the grid of the last one has come on this topic, "
        "such as /bev/occupancy_grid; empty waits for nobody",
    ),
}
# Parameters of the adapter: type, default, description.
FOREIGN = {
    "ego_frame": (str, "", "TF frame of the simulator's vehicle; empty: the role's name"),
    "ego_position": (
        List[float],  # noqa: UP006 launch_ros compares with this one
        "[1.4, 0.0, 0.0]",
        "that frame's place in base_link, metres",
    ),
    "mounted_as_rig": (bool, "false", "take wrong signs of angles or y for mistakes of TF"),
    "check_timeout_s": (float, "60.0", "how long to wait for complete cameras; 0: for ever"),
}
# Arguments of this file alone.
OTHERS = {
    "source": ("own", "who publishes the cameras: own, ros_bridge or native"),
    "host": ("localhost", "where the CARLA server runs"),
    "port": ("2000", "port of that server"),
    "server": ("", "CarlaUE4.sh of a server to start, and end, here; empty: it runs already"),
    "server_quality": ("Epic", "rendering of that server: Low or Epic"),
    "server_timeout_s": ("180", "how long that server may take to listen on its port"),
    "rig_file": ("", "cameras of the vehicle, a YAML file; empty: the shipped four"),
    "role_name": ("", "the vehicle; empty: hero, with carla_ros_bridge ego_vehicle"),
    "image_transport": ("raw", "raw or compressed images of source:=own"),
    "carla_params_file": (str(config_path("carla.yaml")), "parameters of the CARLA node"),
    "foreign_image_topic": ("/carla/{role}/{camera}/image", "images of the other sources"),
    "foreign_camera_info_topic": (
        "/carla/{role}/{camera}/camera_info",
        "CameraInfo of the other sources",
    ),
    "objects_topic": (
        "/carla/{role}/objects",
        "objects of carla_ros_bridge, which become /ground_truth/objects; empty for none",
    ),
    "record": ("false", "whether a labelled bag is recorded"),
    "output": ("", "folder that the bag will be; empty: carla_ with date and time"),
}


def generate_launch_description() -> LaunchDescription:
    """Arguments, transport, then the server if wanted, and everything behind it."""
    typed = {name: (default, text) for name, (_, default, text) in (WORLD | FOREIGN).items()}
    return described(OTHERS | typed | PERCEPTION, start)


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """What depends on the arguments.

    Raises:
        ConfigurationError: an argument is none of its choices, or the rig file is not usable.
    """
    given = context.launch_configurations
    if given["source"] not in SOURCES:
        raise ConfigurationError(f"source:={given['source']} must be one of {', '.join(SOURCES)}")
    nodes = [*source(given), perception(given)]
    if is_true("record", given):
        nodes.append(recording(given))
    return after_server(given, nodes) if given["server"] else nodes


def after_server(
    given: dict[str, str], nodes: list[LaunchDescriptionEntity]
) -> list[LaunchDescriptionEntity]:
    """The server, and the nodes once it listens on its port."""
    port = given["port"]
    line = [sys.executable, "-m", "bev_perception.ros.carla_server", given["server"]]
    line += ["--port", port, "--quality", given["server_quality"]]
    server = ExecuteProcess(
        cmd=[*line, *(["--native-ros2"] if given["source"] == "native" else [])],
        name="carla_server",
        output="screen",
        sigterm_timeout=SERVER_SIGTERM_S,
        on_exit=Shutdown(reason="the CARLA server ended"),
    )
    wait = [sys.executable, "-m", "bev_perception.ros.port_wait", "localhost", port]
    waiting = ExecuteProcess(
        cmd=[*wait, "--timeout", given["server_timeout_s"]],
        name="port_wait",
        output="screen",
    )

    def go_on(event: ProcessExited, _: LaunchContext) -> list[LaunchDescriptionEntity]:
        if event.returncode == 0:
            return nodes
        return [Shutdown(reason="the CARLA server does not listen on its port")]

    handler = RegisterEventHandler(OnProcessExit(target_action=waiting, on_exit=go_on))
    return [handler, server, waiting]


def source(given: dict[str, str]) -> list[LaunchDescriptionEntity]:
    """The node that publishes cameras, or the one that checks those of another."""
    is_own = given["source"] == "own"
    if is_own:
        compressed = given["image_transport"] == "compressed"
        parameters: dict[str, Any] = {
            **typed_parameters(WORLD, given),
            "host": text_parameter(given["host"]),
            "port": int(given["port"]),
            "jpeg_quality": JPEG_QUALITY if compressed else 0,
        }
    else:
        parameters = {
            **typed_parameters(FOREIGN, given),
            "source": given["source"],
            "image_topic": text_parameter(given["foreign_image_topic"]),
            "camera_info_topic": text_parameter(given["foreign_camera_info_topic"]),
            "objects_topic": text_parameter(given["objects_topic"]),
        }
    parameters["rig_file"] = text_parameter(given["rig_file"])
    parameters["role_name"] = text_parameter(role(given))
    name = "carla" if is_own else "carla_adapter"
    node = Node(
        package="bev_perception",
        executable=f"{name}_node",
        name=name,
        parameters=[*([given["carla_params_file"]] if is_own else []), parameters],
        ros_arguments=["--log-level", given["log_level"], *enclave(name, given)],
        output="screen",
        emulate_tty=True,
        on_exit=Shutdown(reason="the source of the cameras ended"),
    )
    return [node]


def perception(given: dict[str, str]) -> LaunchDescriptionEntity:
    """The perception node on the cameras of the rig."""
    is_own = given["source"] == "own"
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(FOLDER / "perception.launch.py")),
        launch_arguments={
            "cameras": ",".join(cameras(given)),
            "rig_file": "",  # the node learns it from CameraInfo and TF, as on a vehicle
            "use_sim_time": "true",
            "image_topic": image_topic(given),
            "image_transport": given["image_transport"] if is_own else "raw",
            # The bridge offers it, and knows nothing of our transport's room for images.
            "image_reliability": "reliable" if given["source"] == "ros_bridge" else "",
            **{name: given[name] for name in PERCEPTION},
        }.items(),
    )


def recording(given: dict[str, str]) -> LaunchDescriptionEntity:
    """``ros2 bag`` by record.launch.py, or ``bev record`` where that is not installed."""
    output = given["output"] or time.strftime("carla_%Y_%m_%d-%H_%M_%S")
    try:
        get_package_prefix("ros2bag")
    except PackageNotFoundError:
        return ExecuteProcess(
            cmd=bev_record(output),
            name="bev_record",
            output="screen",
            sigterm_timeout=COMPLETION_S,
            sigkill_timeout=COMPLETION_S,
        )
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(FOLDER / "record.launch.py")),
        launch_arguments={
            "output": output,
            "cameras": ",".join(cameras(given)),
            "image_topic": image_topic(given),
            "image_transport": given["image_transport"] if given["source"] == "own" else "raw",
            "use_sim_time": "true",
        }.items(),
    )


def bev_record(output: str) -> list[str]:
    """The command line; what another source says itself may be wrong."""
    line = [sys.executable, "-m", "bev_perception.cli.main", "record", "--out", output]
    return [*line, "--use-sim-time", "--exclude", r"^/carla/(.*/)?(camera_info|objects)$"]


def cameras(given: dict[str, str]) -> tuple[str, ...]:
    """Names of the rig's cameras."""
    return load_rig(Path(given["rig_file"] or config_path("rigs/default.yaml"))).names


def image_topic(given: dict[str, str]) -> str:
    """Where images are; {camera} stands for a camera's name."""
    if given["source"] == "own":
        return "/camera/{camera}/image_raw"
    return given["foreign_image_topic"].replace("{role}", role(given))


def role(given: dict[str, str]) -> str:
    """The vehicle's name."""
    return given["role_name"] or ROLES[given["source"]]


def typed_parameters(kinds: dict[str, Any], given: dict[str, str]) -> dict[str, Any]:
    """Parameters of a node; numbers in texts stay texts."""
    return {
        name: ParameterValue(TextSubstitution(text=given[name]), value_type=kind)
        for name, (kind, _, _) in kinds.items()
    }


def text_parameter(text: str) -> ParameterValue:
    """A text that may look like a number."""
    return ParameterValue(TextSubstitution(text=text), value_type=str)


def is_true(name: str, given: dict[str, str]) -> bool:
    """A switch.

    Raises:
        ConfigurationError: the text is neither true nor false.
    """
    values = {"true": True, "1": True, "false": False, "0": False}
    if given[name].lower() not in values:
        raise ConfigurationError(f"{name}:={given[name]} must be true or false")
    return values[given[name].lower()]
