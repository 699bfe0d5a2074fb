# SPDX-License-Identifier: Apache-2.0
"""What the perception node loads ahead while it is on standby.

Nothing of ROS begins there: a second node of the same name, its services, and subscriptions to all
cameras would be seen by everybody else.
"""

from __future__ import annotations

import gc
import importlib
import os
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bev_perception.errors import BevError
from bev_perception.supervision.supervised_life import Order

if TYPE_CHECKING:
    from bev_perception.inference import Engine
    from bev_perception.ros.engine_order import EngineOrder

NODE_MODULE = "bev_perception.ros.perception_lifecycle"
LOW_PRIORITY = 10
"""Of 19; the active node shares the processor with imports, which are half of the work."""


class PreparedEngine:
    """At most one engine, loaded for an order."""

    def __init__(self) -> None:
        self._order: EngineOrder | None = None
        self._engine: Engine | None = None

    def prepare(self, plain: Order | None) -> str:
        """Imports the node and loads its network, whatever it was before.

        Args:
            plain: fields of an EngineOrder; None to import only.

        Returns:
            Why the network cannot be loaded, else "".
        """
        _import_at_low_priority(NODE_MODULE)
        from bev_perception.ros.engine_order import EngineOrder

        self._order = self._engine = None
        if plain is None:
            return ""
        try:
            order = EngineOrder(**plain).renewed()
            self._engine = order.load()
        except BevError as error:
            return " ".join(str(error).split())
        self._order = order
        gc.collect()
        gc.freeze()
        return ""

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


def as_plain(order: EngineOrder) -> dict[str, Any]:
    """For prepare, in another process."""
    return asdict(order)


def _import_at_low_priority(module: str) -> None:
    """In a thread that ends: who has lowered a priority may not raise it again.

    rclpy comes first because its import starts threads, which stay as they have begun.
    """
    importlib.import_module("rclpy")
    problems: list[BaseException] = []

    def run() -> None:
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOW_PRIORITY)
            importlib.import_module(module)
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=run, name="imports", daemon=True)
    thread.start()
    thread.join()
    if problems:
        raise problems[0]
