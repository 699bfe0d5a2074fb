# SPDX-License-Identifier: Apache-2.0
"""Camera drivers are running; this starts the perception node on their topics.

    ros2 launch bev_perception perception.launch.py rviz:=true
    ros2 launch bev_perception perception.launch.py cameras:=front,rear \\
        image_topic:='/sensing/{camera}/image' camera_info_topic:='/sensing/{camera}/camera_info'
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchContext, LaunchDescription
from launch.actions import LogInfo
from launch.launch_description_entity import LaunchDescriptionEntity
from launch_ros.actions import Node

from bev_perception.errors import ConfigurationError
from bev_perception.resources import config_path
from bev_perception.ros.launch_arguments import described, enclave
from bev_perception.ros.parameter_file import file_parameters
from bev_perception.supervision.program import STANDBY_OPTION

NODE_NAME = "bev"
DEFAULT_CAMERAS = ("front", "left", "rear", "right")
RESPAWN_DELAY_S = 0.5
OUTPUT_TOPICS = ("occupancy_grid", "probability_grid", "centers", "instances", "markers")

# Arguments that replace a value of params_file where they are given.
TEXTS = {
    "image_transport": "raw (sensor_msgs/Image) or compressed (CompressedImage, on the topic "
    "/compressed below image_topic)",
    "image_reliability": "of the image subscriptions: best_effort fits every publisher, reliable "
    "loses less where a publisher has not the transport of config/fastdds.xml",
    "weights": "name of shipped weights, or a .safetensors file",
    "device": "where the network runs: auto, cpu, cuda or cuda:N",
    "precision": "arithmetic of the network: auto, fp32, bf16 or fp16",
    "backend": "library that runs the network: auto, tensorrt, cuda, openvino, onnx or cpu",
    "rig_file": "rig file that overrides CameraInfo and TF for the cameras that it names",
}
SWITCHES = {
    "autostart": "whether the node configures and activates itself; false leaves it to a "
    "lifecycle manager or to `ros2 lifecycle set /bev configure`",
    "labelled_points": "whether every point is published with its label on ~/labelled_points",
    "use_sim_time": "whether time comes from /clock: true for simulators and bags",
}
# Arguments with a value of their own.
OTHERS = {
    "image_topic": (
        "/camera/{camera}/image_raw",
        "image topic of a camera; {camera} stands for its name",
    ),
    "camera_info_topic": (
        "/camera/{camera}/camera_info",
        "CameraInfo topic of a camera; {camera} stands for its name",
    ),
    "points_topic": (
        "/lidar/points",
        "PointCloud2 topic, for networks that take points and for labelled_points",
    ),
    "imu_topic": ("/imu/data", "Imu topic, for the parameter imu"),
    "params_file": (
        str(config_path("perception.yaml")),
        "YAML file with the node's parameters",
    ),
    "namespace": ("", "namespace of the node, in front of /bev/occupancy_grid and the others"),
    "respawn": ("false", "whether the node is started again when it was killed or has crashed"),
    "standby": (
        "false",
        "whether a second process that has loaded everything takes over within a second when the "
        "node dies; it takes as much memory as the node",
    ),
    "rviz": ("false", "whether RViz is started, too"),
    "rviz_config": (str(config_path("bev.rviz")), "RViz configuration"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
}


def generate_launch_description() -> LaunchDescription:
    """Arguments, transport, then the node and RViz."""
    texts = {"cameras": "names of the cameras, comma-separated", **TEXTS, **SWITCHES}
    unset = {name: ("", f"{text}; empty: as params_file") for name, text in texts.items()}
    return described(unset | OTHERS, start)


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The node with its parameters and remappings, and RViz if wanted."""
    given = context.launch_configurations
    namespace = given["namespace"].strip("/")
    path = Path(given["params_file"])
    filed = file_parameters(path, NODE_NAME, namespace)
    changes: dict[str, Any] = {name: given[name] for name in TEXTS if given[name]}
    changes |= {name: switch(name, given[name]) for name in SWITCHES if given[name]}
    chosen = camera_names(given["cameras"])
    changes |= {"cameras": chosen} if chosen else {}
    cameras = chosen or list(filed.get("cameras", DEFAULT_CAMERAS))
    transport = {**filed, **changes}.get("image_transport", "raw")
    images = {camera: topic("image_topic", given, camera, cameras) for camera in cameras}
    infos = {camera: topic("camera_info_topic", given, camera, cameras) for camera in cameras}
    node = Node(
        package="bev_perception",
        executable="perception_node",
        name=NODE_NAME,
        namespace=namespace,
        arguments=[STANDBY_OPTION] if switch("standby", given["standby"]) else [],
        parameters=[str(path), *([changes] if changes else [])],
        remappings=[
            *((f"~/input/{name}/image", below(base, transport)) for name, base in images.items()),
            *((f"~/input/{name}/camera_info", info) for name, info in infos.items()),
            ("~/input/points", given["points_topic"]),
            ("~/input/imu", given["imu_topic"]),
        ],
        ros_arguments=["--log-level", given["log_level"], *enclave("perception", given)],
        output="screen",
        emulate_tty=True,
        respawn=switch("respawn", given["respawn"]),
        respawn_delay=RESPAWN_DELAY_S,
    )
    if not switch("rviz", given["rviz"]):
        return [node]
    outputs = [
        (f"/{NODE_NAME}/{name}", f"/{namespace}/{NODE_NAME}/{name}")
        for name in OUTPUT_TOPICS
        if namespace
    ]
    shown = [(f"/camera/{name}/image_raw", base) for name, base in images.items()]
    sim_time = bool({**filed, **changes}.get("use_sim_time", False))
    remappings = [*outputs, *shown]
    return [node, rviz(given["rviz_config"], remappings, sim_time, enclave("rviz", given))]


def rviz(
    configuration: str,
    remappings: list[tuple[str, str]],
    use_sim_time: bool,
    ros_arguments: list[str],
) -> LaunchDescriptionEntity:
    """RViz, or a line that says how to come by it; the node runs either way."""
    try:
        get_package_prefix("rviz2")
    except PackageNotFoundError:
        return LogInfo(
            msg="RViz is not installed, going on without it. `sudo apt install "
            "ros-$ROS_DISTRO-rviz2` brings it; `bev view` and Foxglove show the same."
        )
    return Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", configuration],
        parameters=[{"use_sim_time": use_sim_time}],
        remappings=[pair for pair in remappings if pair[0] != pair[1]],
        ros_arguments=ros_arguments,
        output="log",
    )


def camera_names(text: str) -> list[str]:
    """Names of a list like ``front, rear`` or ``[front, rear]``."""
    return [name.strip() for name in text.strip(" []").split(",") if name.strip()]


def topic(argument: str, given: dict[str, str], camera: str, cameras: list[str]) -> str:
    """A camera's topic.

    Raises:
        ConfigurationError: several cameras would share one topic.
    """
    template = given[argument]
    if "{camera}" not in template and len(cameras) > 1:
        raise ConfigurationError(
            f"{argument}:={template} is the same topic for all of {', '.join(cameras)}; put "
            "{camera} where the camera's name stands"
        )
    return template.replace("{camera}", camera)


def below(base: str, transport: str) -> str:
    """Where image_transport publishes compressed images of a base topic."""
    compressed = transport == "compressed" and not base.endswith("/compressed")
    return f"{base}/compressed" if compressed else base


def switch(name: str, text: str) -> bool:
    """True or false.

    Raises:
        ConfigurationError: the text is neither.
    """
    values = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in values:
        raise ConfigurationError(f"{name}:={text} must be true or false")
    return values[text.lower()]
