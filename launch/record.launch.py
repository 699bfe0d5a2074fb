# SPDX-License-Identifier: Apache-2.0
"""Records with ``ros2 bag`` what training and inspection need.

    ros2 launch bev_perception record.launch.py output:=drive_1
    ros2 launch bev_perception record.launch.py cameras:=front,rear \\
        image_topic:='/sensing/{camera}/image' extra_topics:=/lidar/points,/gps/fix

Ctrl-C completes the bag. Where `ros2 bag` is not installed, `bev record` does the same.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchContext, LaunchDescription
from launch.actions import ExecuteProcess
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.logging import launch_config

from bev_perception.errors import ConfigurationError, SystemLibraryError
from bev_perception.resources import config_path
from bev_perception.ros.launch_arguments import described, enclave_environment

SHIPPED_QOS = config_path("record_qos.yaml")
ALWAYS = (
    *("/tf", "/tf_static", "/odom", "/clock", "/diagnostics"),
    *("/lidar/points", "/imu/data", "/ground_truth/objects"),
)
COMPLETION_S = "60"
"""Seconds that ros2 bag gets after Ctrl-C to write what it has in memory."""

ARGUMENTS = {
    "output": ("", "folder that the bag will be; empty: bag_ with date and time"),
    "cameras": ("front,left,rear,right", "names of the cameras, comma-separated"),
    "image_topic": (
        "/camera/{camera}/image_raw",
        "image topic of a camera; {camera} stands for its name",
    ),
    "camera_info_topic": (
        "/camera/{camera}/camera_info",
        "CameraInfo topic of a camera; {camera} stands for its name",
    ),
    "image_transport": (
        "raw",
        "raw, compressed (the topic /compressed below image_topic) or both",
    ),
    "node": ("/bev", "full name of the perception node, whose outputs are recorded too"),
    "extra_topics": ("", "more topics, comma-separated"),
    "storage": (
        "mcap",
        "mcap or sqlite3; on Humble mcap needs ros-humble-rosbag2-storage-mcap",
    ),
    "preset": (
        "zstd_fast",
        "storage preset: zstd_fast, zstd_small, fastwrite (mcap), resilient (sqlite3) or none",
    ),
    "qos_overrides": (
        str(SHIPPED_QOS),
        "YAML file of subscription QoS by topic; empty: as the publishers offer. The shipped one "
        "holds for image topics of other names, too",
    ),
    "max_duration": (
        "0",
        "seconds per file of the bag; 0: one file. ros2 bag states /tf_static in the first file "
        "only, `bev record` in each",
    ),
    "max_size_mb": ("0", "megabytes per file of the bag; 0: one file"),
    "cache_mb": ("256", "megabytes that may wait for the disk"),
    "use_sim_time": ("false", "whether times of recording are those of /clock"),
}


def generate_launch_description() -> LaunchDescription:
    """Arguments, transport, then ros2 bag."""
    return described(ARGUMENTS, start)


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The recording process.

    Raises:
        SystemLibraryError: ros2 bag is not installed.
    """
    try:
        get_package_prefix("ros2bag")
    except PackageNotFoundError as error:
        raise SystemLibraryError(
            "record.launch.py drives `ros2 bag record`, which is not installed; `sudo apt install "
            "ros-$ROS_DISTRO-ros2bag ros-$ROS_DISTRO-rosbag2-storage-mcap` brings it, or use "
            "`bev record`, which needs neither"
        ) from error
    return [
        ExecuteProcess(
            cmd=command(context.launch_configurations),
            additional_env=enclave_environment("rosbag2", context.launch_configurations),
            name="ros2_bag_record",
            output="screen",
            emulate_tty=True,
            sigterm_timeout=COMPLETION_S,
            sigkill_timeout=COMPLETION_S,
        )
    ]


def command(given: dict[str, str]) -> list[str]:
    """The command line, in options that Humble and all later distributions have.

    Raises:
        ConfigurationError: an argument is not usable.
    """
    output = given["output"] or time.strftime("bag_%Y_%m_%d-%H_%M_%S")
    if Path(output).exists():
        raise ConfigurationError(f"output:={output} exists already; choose another folder")
    line = ["ros2", "bag", "record", "--output", output, "--storage", given["storage"]]
    if given["preset"] not in ("", "none") and (given["storage"], given["preset"]) != (
        "sqlite3",
        ARGUMENTS["preset"][0],
    ):
        line += ["--storage-preset-profile", given["preset"]]
    if given["qos_overrides"]:
        line += ["--qos-profile-overrides-path", qos_overrides(given)]
    if number("max_duration", given):
        line += ["--max-bag-duration", str(round(number("max_duration", given)))]
    if number("max_size_mb", given):
        line += ["--max-bag-size", str(round(number("max_size_mb", given) * 1e6))]
    line += ["--max-cache-size", str(round(number("cache_mb", given) * 1e6))]
    if given["use_sim_time"].lower() in ("true", "1"):
        line.append("--use-sim-time")
    return [*line, "--regex", expression(given)]


def expression(given: dict[str, str]) -> str:
    """Regular expression of the topics: one option that every distribution spells the same.

    Raises:
        ConfigurationError: a topic's name is none.
    """
    topics = [*ALWAYS, *image_topics(given)]
    topics += [given["camera_info_topic"].replace("{camera}", name) for name in cameras(given)]
    topics += [name.strip() for name in given["extra_topics"].split(",") if name.strip()]
    for topic in (*topics, given["node"]):
        if not re.fullmatch(r"(/[A-Za-z_][A-Za-z0-9_]*)+", topic):
            raise ConfigurationError(
                f"{topic!r} is no full topic name; write for example /camera/front/image_raw"
            )
    outputs = f"{given['node']}/[^_].*"
    return f"^({'|'.join([*dict.fromkeys(topics), outputs])})$"


def cameras(given: dict[str, str]) -> list[str]:
    """Names of the cameras.

    Raises:
        ConfigurationError: there are none.
    """
    names = [name.strip() for name in given["cameras"].strip(" []").split(",") if name.strip()]
    if not names:
        raise ConfigurationError("cameras:= names no camera; write for example cameras:=front,rear")
    return names


def image_topics(given: dict[str, str]) -> list[str]:
    """Images of all cameras, in the transports that are wanted.

    Raises:
        ConfigurationError: there is no such transport.
    """
    suffixes = {"raw": ("",), "compressed": ("/compressed",), "both": ("", "/compressed")}
    if given["image_transport"] not in suffixes:
        raise ConfigurationError(
            f"image_transport:={given['image_transport']} must be one of {', '.join(suffixes)}"
        )
    bases = [given["image_topic"].replace("{camera}", name) for name in cameras(given)]
    return [base + suffix for base in bases for suffix in suffixes[given["image_transport"]]]


def qos_overrides(given: dict[str, str]) -> str:
    """The file of overrides; of the shipped one a copy where images have other topics."""
    if Path(given["qos_overrides"]) != SHIPPED_QOS:
        return given["qos_overrides"]
    shipped = yaml.safe_load(SHIPPED_QOS.read_text(encoding="utf-8"))
    likes = {False: "/camera/front/image_raw", True: "/camera/front/image_raw/compressed"}
    names = image_topics(given)
    images = {name: dict(shipped[likes[name.endswith("/compressed")]]) for name in names}
    if images.keys() <= shipped.keys():
        return str(SHIPPED_QOS)
    copy = Path(launch_config.log_dir) / SHIPPED_QOS.name
    copy.write_text(yaml.safe_dump({**shipped, **images}), encoding="utf-8")
    return str(copy)


def number(name: str, given: dict[str, str]) -> float:
    """A number that is not negative.

    Raises:
        ConfigurationError: the argument is none.
    """
    try:
        value = float(given[name])
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ConfigurationError(f"{name}:={given[name]} must be a number, at least 0")
    return value
