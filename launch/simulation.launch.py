# SPDX-License-Identifier: Apache-2.0
"""The embedded town drives, the perception node watches, RViz shows both.

ros2 launch bev_perception simulation.launch.py town:=11003 weather:=rain
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.actions import IncludeLaunchDescription, Shutdown
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from bev_perception.geometry.rig_file import load_rig
from bev_perception.resources import config_path
from bev_perception.ros.launch_arguments import PERCEPTION, described, enclave

PERCEPTION_FILE = Path(__file__).resolve().parent / "perception.launch.py"
JPEG_QUALITY = 90

# Parameters of the town node: type, default, description.
TOWN = {
    "town": (int, "11000", "seed of the town; the same seed gives the same town"),
    "traffic_seed": (int, "-1", "seed of the traffic in it; -1: the town's"),
    "weather": (str, "", "weather by name; empty: one drawn by the town's seed"),
    "lidar": (bool, "false", "whether it has a LiDAR, on /lidar/points"),
    "rate_hz": (float, "10.0", "camera sets per second of simulated time"),
    "max_real_time_factor": (float, "1.0", "simulated seconds per second at most; 0: no limit"),
    "num_sets": (int, "0", "ends everything after so many camera sets; 0: drives without end"),
    "rig_file": (str, "", "cameras of the vehicle, a YAML file; empty: the shipped four"),
}
# Arguments handed on to perception.launch.py: default, description.
PASSED_ON = {
    "image_transport": ("raw", "raw or compressed images between town and node"),
    "points_topic": ("/lidar/points", "PointCloud2 topic that the node takes"),
    "labelled_points": ("", "whether the node publishes ~/labelled_points; empty: as params_file"),
    **PERCEPTION,
}


def generate_launch_description() -> LaunchDescription:
    """Arguments, transport, then town and perception."""
    arguments = {name: (default, text) for name, (_, default, text) in TOWN.items()} | PASSED_ON
    return described(arguments, start)


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The town with its settings, and perception on the cameras of the town's rig."""
    given = context.launch_configurations
    rig = load_rig(Path(given["rig_file"] or config_path("rigs/default.yaml")))
    compressed = given["image_transport"] == "compressed"
    settings: dict[str, Any] = {
        name: ParameterValue(LaunchConfiguration(name), value_type=kind)
        for name, (kind, _, _) in TOWN.items()
    }
    town = Node(
        package="bev_perception",
        executable="simulation_node",
        name="town",
        parameters=[{**settings, "jpeg_quality": JPEG_QUALITY if compressed else 0}],
        ros_arguments=["--log-level", given["log_level"], *enclave("town", given)],
        output="screen",
        emulate_tty=True,
        on_exit=Shutdown(reason="the town ended"),
    )
    perception = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(PERCEPTION_FILE)),
        launch_arguments={
            "cameras": ",".join(rig.names),
            "rig_file": "",  # the node learns it from CameraInfo and TF, as on a vehicle
            "use_sim_time": "true",
            **{name: given[name] for name in PASSED_ON},
        }.items(),
    )
    return [town, perception]
