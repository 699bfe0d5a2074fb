# SPDX-License-Identifier: Apache-2.0
"""What a process needs before its first node: ROS 2 itself, and a transport that fits images."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence

from bev_perception.errors import ConfigurationError, SystemLibraryError
from bev_perception.resources import config_path

# Read by Fast DDS 2 (Humble, Jazzy) and Fast DDS 3 (Kilted, Lyrical) in this order.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
TRANSPORT_VARIABLE = "FASTDDS_BUILTIN_TRANSPORTS"
# What the nodes import; their packages are the dependencies of package.xml.
REQUIRED_MODULES = (
    "rclpy",
    "sensor_msgs",
    "nav_msgs",
    "geometry_msgs",
    "visualization_msgs",
    "diagnostic_msgs",
    "tf2_msgs",
    "vision_msgs",
)


def shipped_transport() -> dict[str, str]:
    """The environment variables that choose ``config/fastdds.xml``.

    Empty where the user has chosen: a profile file, Fast DDS's transports by variable, or another
    middleware than Fast DDS.
    """
    chosen = any(os.environ.get(name) for name in (*PROFILE_VARIABLES, TRANSPORT_VARIABLE))
    middleware = os.environ.get("RMW_IMPLEMENTATION", "")
    if chosen or (middleware and "fastrtps" not in middleware):
        return {}
    return dict.fromkeys(PROFILE_VARIABLES, str(config_path("fastdds.xml")))


def use_shipped_transport() -> None:
    """Let Fast DDS carry camera images without loss; call it before ``rclpy.init``.

    Changes nothing where the user has chosen (see :func:`shipped_transport`).
    """
    os.environ.update(shipped_transport())


def require_ros() -> None:
    """Make sure that ROS 2 and the messages of the nodes can be imported.

    Raises:
        SystemLibraryError: names what is missing and the two ways to have it.
    """
    for name in REQUIRED_MODULES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise SystemLibraryError(
                f"this command needs ROS 2, but its Python package {name} cannot be imported "
                f"({error}). Either source a ROS 2 installation (Humble, Jazzy, Kilted or "
                "Lyrical) and run `rosdep install --from-paths . --ignore-src`, or run "
                "`make ros` in the checkout, which puts ROS 2 into its virtual environment"
            ) from error


def start_ros(args: Sequence[str]) -> None:
    """``rclpy.init`` for a program that handles signals itself.

    Args:
        args: the command line with the program's name and --ros-args.

    Raises:
        ConfigurationError: --ros-args that ROS does not understand, or a file in them that is
            missing.
    """
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    try:
        rclpy.init(args=list(args), signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:
        raise ConfigurationError(f"ROS cannot start with these arguments: {error}") from error
