# SPDX-License-Identifier: Apache-2.0
"""A live drive through the town: renders, publishes, keeps pace, waits for those behind it."""

from __future__ import annotations

import threading
import time

import numpy as np
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.node import Node

from bev_perception.geometry import Rig
from bev_perception.geometry.rig_file import load_rig
from bev_perception.ros.lockstep import Lockstep
from bev_perception.ros.town_settings import TownSettings, declare_town_settings
from bev_perception.ros.town_topics import TownTopics
from bev_perception.simulation.renderable import check_renderable
from bev_perception.simulation.scene import Weather
from bev_perception.simulation.simulator import FIRST_STAMP_NS, Simulator
from bev_perception.simulation.weather import weather_of_kind

LOOK_UP_S = 0.05
REMINDER_S = 5.0
ACKNOWLEDGEMENT_S = 10.0


def drive(node: Node, stop: threading.Event) -> None:
    """Drives as the node's parameters say, until num_sets are done or stop is set.

    To be called in the thread that may use OpenGL, while another spins the node.

    Args:
        node: gets parameters and topics.
        stop: ends the drive after the set at work.

    Raises:
        BevError: a parameter or the rig file cannot be used, or EGL is not installed.
    """
    settings, log = declare_town_settings(node), node.get_logger()
    rig = load_rig(settings.rig_path)
    check_renderable(rig, settings.rig_path)
    topics = TownTopics(node, rig, settings)
    with _simulator(settings, rig) as simulator:
        log.info(f"town {settings.town}: cameras {', '.join(rig.names)} at {settings.rate_hz:g} Hz")
        topics.publish_rig()
        pace = _Pace(settings.rate_hz, settings.max_real_time_factor)
        started, driven, stamp_ns = 0.0, 0, FIRST_STAMP_NS
        while not stop.is_set() and (not settings.num_sets or driven < settings.num_sets):
            _stand_still(node, topics, stamp_ns, driven == 0, stop)
            if stop.is_set():
                break
            started = started or time.monotonic()
            simulated = next(iter(simulator.run(1)))
            pace.wait(stop)
            topics.publish_set(simulated)
            driven, stamp_ns = driven + 1, simulated.frame_set.stamp_ns
            if topics.lockstep is not None:
                _wait_for_output(topics.lockstep, settings.lockstep_timeout_s, log, stop)
        if not stop.is_set() and not topics.wait_for_acknowledgements(ACKNOWLEDGEMENT_S):
            log.warning(f"not all subscribers had everything {ACKNOWLEDGEMENT_S:g} s after the end")
        elapsed_s = time.monotonic() - started if started else 0.0
        log.info(_summary(driven, elapsed_s, topics.lockstep))


class _Pace:
    """Holds the drive back to simulated time; makes up for one late set, not for more."""

    def __init__(self, rate_hz: float, max_real_time_factor: float) -> None:
        factor = max_real_time_factor
        self._period_s = 1.0 / (rate_hz * factor) if factor > 0.0 else 0.0
        self._due: float | None = None

    def wait(self, stop: threading.Event) -> None:
        """Until the next set is due, or stop is set."""
        now = time.monotonic()
        if self._due is None or now > self._due + self._period_s:
            self._due = now
        stop.wait(max(0.0, self._due - now))
        self._due += self._period_s


def _simulator(settings: TownSettings, rig: Rig) -> Simulator:
    traffic_seed = None if settings.traffic_seed < 0 else settings.traffic_seed
    return Simulator(settings.town, rig, settings.rate_hz, _weather(settings), traffic_seed)


def _weather(settings: TownSettings) -> Weather | None:
    """The chosen kind, its details drawn by the town's seed; None leaves it to the town."""
    if not settings.weather:
        return None
    return weather_of_kind(settings.weather, np.random.default_rng(settings.town))


def _stand_still(
    node: Node, topics: TownTopics, stamp_ns: int, at_start: bool, stop: threading.Event
) -> None:
    """Stands still while paused and, at the start, until the subscribers are there.

    The clock is told all the while; what it waits for is said now and then.
    """
    due = time.monotonic() + REMINDER_S
    while reasons := _pause(node) + (topics.missing_subscribers() if at_start else []):
        topics.publish_clock(stamp_ns)
        if stop.wait(LOOK_UP_S):
            break
        if time.monotonic() >= due:
            node.get_logger().info(f"standing still: {', '.join(reasons)}")
            due += REMINDER_S


def _pause(node: Node) -> list[str]:
    return ["paused is true"] if node.get_parameter("paused").value else []


def _wait_for_output(
    lockstep: Lockstep, timeout_s: float, log: RcutilsLogger, stop: threading.Event
) -> None:
    if not lockstep.wait(timeout_s, stop) and not stop.is_set():
        log.warning(
            f"no output on {lockstep.topic} for the set at {lockstep.stamp_ns / 1e9:.3f} s within "
            f"{timeout_s:g} s; going on without it, {lockstep.missed} so far"
        )


def _summary(driven: int, elapsed_s: float, lockstep: Lockstep | None) -> str:
    text = f"drove {driven} sets in {elapsed_s:.1f} s"
    if lockstep is not None:
        text += f", {lockstep.missed} without an output on {lockstep.topic}"
    return text
