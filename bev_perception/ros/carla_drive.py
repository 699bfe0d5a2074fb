# SPDX-License-Identifier: Apache-2.0
"""A live drive through a CARLA world."""

from __future__ import annotations

import threading
from dataclasses import fields

from rclpy.node import Node

from bev_perception.carla_world.session import CarlaSession
from bev_perception.carla_world.settings import CarlaSettings
from bev_perception.geometry.rig_file import load_rig
from bev_perception.ros.carla_settings import CarlaDriveSettings
from bev_perception.ros.declared_settings import declare_settings
from bev_perception.ros.labelled_set_topics import LabelledSetTopics
from bev_perception.ros.set_drive import SetDrive

ODOM_FRAME = "odom"


def drive(node: Node, stop: threading.Event) -> None:
    """Drives as the node's parameters say, until num_sets are done or stop is set.

    However it ends, what it has spawned is destroyed and the world's settings are restored.

    Args:
        node: gets parameters and topics.
        stop: ends the drive after the set at work.

    Raises:
        BevError: a parameter or the rig file cannot be used, or the server fails.
    """
    settings, log = declare_settings(node, CarlaDriveSettings, "CARLA"), node.get_logger()
    rig = load_rig(settings.rig_path)
    log.info(f"connecting to CARLA on {settings.host}:{settings.port}")
    session = CarlaSession(session_settings(settings), rig)
    remarks, told = session.statistics.remarks, 0
    try:
        with session:
            told = _warn(node, remarks)
            found = session.statistics
            log.info(
                f"driving with {found.vehicles} vehicles and {found.walkers} walkers, "
                f"{found.parked} parked; cameras {', '.join(session.rig.names)} at "
                f"{settings.rate_hz:g} Hz"
            )
            topics = LabelledSetTopics(node, session.rig, settings, ODOM_FRAME)
            SetDrive(node, topics, settings, stop).run(session.run(), session.stamp_ns)
    finally:
        _warn(node, remarks[told:])
    log.info("CARLA's world is as it was before")


def session_settings(settings: CarlaDriveSettings) -> CarlaSettings:
    """What the session has to know of the node's parameters."""
    return CarlaSettings(
        **{entry.name: getattr(settings, entry.name) for entry in fields(CarlaSettings)}
    )


def _warn(node: Node, remarks: list[str]) -> int:
    """Says what is not quite as asked; how much that was."""
    for remark in remarks:
        node.get_logger().warning(remark)
    return len(remarks)
