# SPDX-License-Identifier: Apache-2.0
"""What the perception node does ahead while it is on standby.

It has no name, service, topic or subscription there, which everybody else would see twice; a node
whose name begins with an underscore, which tools hide, has the middleware find all the others.
"""

from __future__ import annotations

import gc
import importlib
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bev_perception.errors import BevError
from bev_perception.ros.environment import start_ros
from bev_perception.supervision.supervised_life import Order

if TYPE_CHECKING:
    from rclpy.node import Node

    from bev_perception.inference import Engine
    from bev_perception.ros.engine_order import EngineOrder

NODE_MODULE = "bev_perception.ros.perception_lifecycle"
DISCOVERY_S = 3.5
"""After this time all others have announced themselves: Fast DDS does every 3 s."""

SCOUT_PREFIX = "_bev_standby_"
LOW_PRIORITY = 10
"""Of 19; the active node shares the processor with imports, which are half of the work."""


class PreparedNode:
    """At most one engine, loaded for an order, and ROS.

    Args:
        args: the command line with the program's name and --ros-args.
    """

    def __init__(self, args: Sequence[str]) -> None:
        self._args = list(args)
        self._order: EngineOrder | None = None
        self._engine: Engine | None = None
        self._scout: Node | None = None
        self._has_ros = False

    def prepare(self, plain: Order | None) -> str:
        """Imports the node, loads its network, whatever it was before, and starts ROS.

        Args:
            plain: fields of an EngineOrder; None where no network is known.

        Returns:
            What went wrong, else "".
        """
        importlib.import_module("rclpy")  # starts threads, which keep the priority of this one
        _at_low_priority(_import_all)
        from bev_perception.ros.engine_order import EngineOrder

        self._order = self._engine = None
        try:
            if plain is not None:
                order = EngineOrder(**plain).renewed()
                self._engine = order.load()
                self._order = order
            if not self._has_ros:
                self._discover()
        except (BevError, RuntimeError) as error:
            return " ".join(str(error).split())
        gc.collect()
        gc.freeze()
        return ""

    def start_ros(self) -> None:
        """Where it is not started.

        Raises:
            ConfigurationError: ROS does not understand the command line.
        """
        if not self._has_ros:
            start_ros(self._args)
            self._has_ros = True

    def is_there(self) -> None:
        """The node itself is in the graph."""
        scout, self._scout = self._scout, None
        if scout is not None:
            scout.destroy_node()

    def load(self, order: EngineOrder) -> Engine:
        """The prepared engine where it is what is asked for, else a new one; only once.

        Raises:
            WeightsError, EngineError: see EngineOrder.load.
        """
        engine, fits = self._engine, order == self._order
        self._order = self._engine = None
        if engine is not None and fits:
            return engine
        del engine
        return order.load()

    def close(self) -> None:
        """Ends what was started on standby."""
        if not self._has_ros:
            return
        import rclpy

        self.is_there()
        rclpy.try_shutdown()

    def _discover(self) -> None:
        """Fast DDS takes up to three seconds until a new process knows all others.

        An answer to its first announcement that comes before it listens is lost, and the next one
        comes with the other's own period. All nodes of a context share what it knows.
        """
        import rclpy
        from rclpy.parameter import Parameter

        self.start_ros()
        self._scout = rclpy.create_node(
            f"{SCOUT_PREFIX}{os.getpid()}",
            use_global_arguments=False,
            enable_rosout=False,
            start_parameter_services=False,
            parameter_overrides=[Parameter("start_type_description_service", value=False)],
        )


def as_plain(order: EngineOrder) -> dict[str, Any]:
    """For prepare, in another process."""
    return asdict(order)


def _import_all() -> None:
    """Also what would come with the first image."""
    importlib.import_module(NODE_MODULE)
    from bev_perception.bags.typestore import bag_typestore

    bag_typestore()


def _at_low_priority(work: Callable[[], None]) -> None:
    """In a thread that ends: who has lowered a priority may not raise it again."""
    problems: list[BaseException] = []

    def run() -> None:
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOW_PRIORITY)
            work()
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=run, name="imports", daemon=True)
    thread.start()
    thread.join()
    if problems:
        raise problems[0]
