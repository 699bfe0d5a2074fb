# SPDX-License-Identifier: Apache-2.0
"""What the launch files of this package have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.launch_context import LaunchContext
from launch.launch_description import LaunchDescription
from launch.launch_description_entity import LaunchDescriptionEntity

from bev_perception.resources import config_path
from bev_perception.ros.environment import shipped_transport

PERCEPTION = {
    "weights": ("", "name of shipped weights, or a .safetensors file; empty: as params_file"),
    "device": ("", "where the network runs: auto, cpu, cuda or cuda:N; empty: as params_file"),
    "precision": ("", "auto, fp32, bf16 or fp16; empty: as params_file"),
    "backend": ("", "auto, tensorrt, cuda, openvino, onnx or cpu; empty: as params_file"),
    "params_file": (str(config_path("perception.yaml")), "parameters of the perception node"),
    "rviz": ("true", "whether RViz is started, where it is installed"),
    "rviz_config": (str(config_path("bev.rviz")), "RViz configuration"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
}
"""Default and description of what simulators' launch files hand on to perception.launch.py."""


def described(
    arguments: Mapping[str, tuple[str, str]],
    start: Callable[[LaunchContext], list[LaunchDescriptionEntity]],
) -> LaunchDescription:
    """A launch description: arguments, the shipped transport, then what depends on them.

    Args:
        arguments: default and description by name.
        start: makes the processes, once the arguments are known.
    """
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in arguments.items()
    ]
    transport = [SetEnvironmentVariable(name, value) for name, value in shipped_transport().items()]
    return LaunchDescription([*declared, *transport, OpaqueFunction(function=start)])
