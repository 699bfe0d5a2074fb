# SPDX-License-Identifier: Apache-2.0
"""``bev keystore``: keys and least rights of every node, for SROS2."""

from __future__ import annotations

from pathlib import Path

from bev_perception.cli.parser import Arguments, Command, Parser


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("folder", type=str, metavar="FOLDER", help="the keystore")
    parser.add_argument(
        "--cameras",
        type=str,
        default="front,left,rear,right",
        help="names of the cameras, comma-separated",
    )
    parser.add_argument(
        "--image-topic",
        type=str,
        default="/camera/{camera}/image_raw",
        help="image topic of a camera; {camera} stands for its name",
    )
    parser.add_argument(
        "--camera-info-topic",
        type=str,
        default="/camera/{camera}/camera_info",
        help="CameraInfo topic of a camera; {camera} stands for its name",
    )
    parser.add_argument(
        "--points-topic",
        type=str,
        default="/lidar/points",
        help="topic of point clouds, for networks that take them",
    )
    parser.add_argument(
        "--imu-topic", type=str, default="/imu/data", help="topic of the IMU, where there is one"
    )
    parser.add_argument("--namespace", type=str, default="", help="of the perception node")


def _run(arguments: Arguments) -> None:
    from bev_perception.ros.security import make_keystore
    from bev_perception.ros.security_policy import SecuredTopics, policies

    topics = SecuredTopics(
        tuple(name.strip() for name in arguments.cameras.split(",") if name.strip()),
        arguments.image_topic,
        arguments.camera_info_topic,
        arguments.points_topic,
        arguments.namespace.strip("/"),
        imu_topic=arguments.imu_topic,
    )
    nodes = policies(topics)
    policy = make_keystore(Path(arguments.folder), nodes)
    print(f"policy:   {policy}")
    print(f"enclaves: {', '.join(node.enclave_path for node in nodes)}")
    print(f"start:    ros2 launch bev_perception perception.launch.py security:=true "
          f"keystore:={arguments.folder}")  # fmt: skip


COMMAND = Command(
    name="keystore",
    summary="keys and least rights of every node, for SROS2",
    description="Writes the policy of every node (the topics and services that it has, no others) "
    "and lets sros2 make keys, certificates and signed permissions of it. A keystore that exists "
    "keeps its keys and gets new permissions.",
    examples=(
        ("for four cameras", "bev keystore ~/keystore"),
        (
            "for others",
            "bev keystore ~/keystore --cameras front,rear --image-topic '/sensing/{camera}/image'",
        ),
    ),
    add_arguments=_add_arguments,
    run=_run,
)
