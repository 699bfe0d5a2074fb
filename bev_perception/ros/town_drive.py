# SPDX-License-Identifier: Apache-2.0
"""A live drive through the embedded town."""

from __future__ import annotations

import threading
from itertools import chain, count

import numpy as np
from rclpy.node import Node

from bev_perception.geometry import LIDAR_FRAME, Rig
from bev_perception.geometry.rig_file import load_rig
from bev_perception.ros.declared_settings import declare_settings
from bev_perception.ros.labelled_set_topics import LabelledSetTopics
from bev_perception.ros.set_drive import SetDrive
from bev_perception.ros.town_settings import TownSettings
from bev_perception.simulation.lidar import lidar_mounting
from bev_perception.simulation.renderable import check_renderable
from bev_perception.simulation.scene import Weather
from bev_perception.simulation.simulator import FIRST_STAMP_NS, Simulator
from bev_perception.simulation.weather import weather_of_kind


def drive(node: Node, stop: threading.Event) -> None:
    """Drives as the node's parameters say, until num_sets are done or stop is set.

    To be called in the thread that may use OpenGL, while another spins the node.

    Args:
        node: gets parameters and topics.
        stop: ends the drive after the set at work.

    Raises:
        BevError: a parameter or the rig file cannot be used, or EGL is not installed.
    """
    settings, log = declare_settings(node, TownSettings, "town"), node.get_logger()
    rig = load_rig(settings.rig_path)
    check_renderable(rig, settings.rig_path)
    others = {LIDAR_FRAME: lidar_mounting(rig)} if settings.lidar else {}
    topics = LabelledSetTopics(node, rig, settings, others=others)
    with _simulator(settings, rig) as simulator:
        log.info(f"town {settings.town}: cameras {', '.join(rig.names)} at {settings.rate_hz:g} Hz")
        sets = chain.from_iterable(simulator.run(1) for _ in count())
        SetDrive(node, topics, settings, stop).run(sets, FIRST_STAMP_NS)


def _simulator(settings: TownSettings, rig: Rig) -> Simulator:
    traffic_seed = None if settings.traffic_seed < 0 else settings.traffic_seed
    weather, lidar = _weather(settings), settings.lidar
    return Simulator(settings.town, rig, settings.rate_hz, weather, traffic_seed, lidar)


def _weather(settings: TownSettings) -> Weather | None:
    """The chosen kind, its details drawn by the town's seed; None leaves it to the town."""
    if not settings.weather:
        return None
    return weather_of_kind(settings.weather, np.random.default_rng(settings.town))
