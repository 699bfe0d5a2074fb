# SPDX-License-Identifier: Apache-2.0
"""What the launch files of this package have in common."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.launch_context import LaunchContext
from launch.launch_description import LaunchDescription
from launch.launch_description_entity import LaunchDescriptionEntity

from bev_perception.errors import ConfigurationError
from bev_perception.resources import config_path
from bev_perception.ros.environment import shipped_transport
from bev_perception.ros.security import security_environment
from bev_perception.ros.security_policy import ROOT_ENCLAVE

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

SECURITY = {
    "security": ("false", "whether SROS2 is enforced; needs keystore"),
    "keystore": (
        os.environ.get("ROS_SECURITY_KEYSTORE", ""),
        "keystore of SROS2, made by `bev keystore FOLDER`",
    ),
}
"""Arguments that every launch file has; included ones take them over."""


def enclave(name: str, given: Mapping[str, str]) -> list[str]:
    """ROS arguments that give a node its enclave where security is on.

    Args:
        name: last part of the enclave's name.
        given: launch configurations.
    """
    return ["--enclave", f"{ROOT_ENCLAVE}/{name}"] if _wants_security(given) else []


def enclave_environment(name: str, given: Mapping[str, str]) -> dict[str, str]:
    """The same for a process that takes no ROS arguments."""
    if not _wants_security(given):
        return {}
    return {"ROS_SECURITY_ENCLAVE_OVERRIDE": f"{ROOT_ENCLAVE}/{name}"}


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
        for name, (default, text) in {**arguments, **SECURITY}.items()
    ]
    transport = [SetEnvironmentVariable(name, value) for name, value in shipped_transport().items()]
    return LaunchDescription(
        [*declared, *transport, OpaqueFunction(function=_secured), OpaqueFunction(function=start)]
    )


def _secured(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Environment of all processes where security is on.

    Raises:
        ConfigurationError: security is neither true nor false, or there is no keystore.
    """
    given = context.launch_configurations
    if not _wants_security(given):
        return []
    variables = security_environment(given["keystore"])
    return [SetEnvironmentVariable(name, value) for name, value in variables.items()]


def _wants_security(given: Mapping[str, str]) -> bool:
    values = {"true": True, "1": True, "false": False, "0": False}
    text = given["security"]
    if text.lower() not in values:
        raise ConfigurationError(f"security:={text} must be true or false")
    return values[text.lower()]
