# SPDX-License-Identifier: Apache-2.0
"""Looks at the watchdog often enough, and tells at once what it says."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from bev_perception.ros.node_monitor import NodeMonitor
from bev_perception.ros.timing_monitor import hang_text
from bev_perception.ros.watchdog import Hang, Watchdog

LOOKS_PER_LIMIT = 10
_LEAST_PERIOD_S = 0.01

CLOSED_WHILE_HANGING = (
    "a set is still in work and its thread is left to itself; if the network does not answer, "
    "restart this process before it is activated again"
)


class TimingWatch:
    """A timer of the executor, by the steady clock.

    The executor is never in the thread that works, so it can tell what hangs there.

    Args:
        node: whose executor and log are used.
        watchdog: of the thread that works.
        monitor: told of hangs.
        diagnose: publishes diagnostics now.
    """

    def __init__(
        self,
        node: Node,
        watchdog: Watchdog,
        monitor: NodeMonitor,
        diagnose: Callable[[], object],
    ) -> None:
        self._node, self._watchdog, self._monitor = node, watchdog, monitor
        self._diagnose = diagnose
        self._hang: Hang | None = None
        self._timer = None
        if watchdog.limit_s:
            self._timer = node.create_timer(
                max(_LEAST_PERIOD_S, watchdog.limit_s / LOOKS_PER_LIMIT),
                self._look,
                clock=Clock(clock_type=ClockType.STEADY_TIME),
            )

    def close(self) -> None:
        """Ends the timer."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)

    def _look(self) -> None:
        before, self._hang = self._hang, self._watchdog.hang()
        if self._hang is None and before is None:
            return
        text = hang_text(self._hang) if self._hang is not None else ""
        self._monitor.timing.hangs(self._hang)
        is_engine = self._hang is not None and self._hang.stage == "engine"
        self._monitor.engine.hangs(text if is_engine else "")
        if (before is None) == (self._hang is None):
            return
        if self._hang is not None:
            self._node.get_logger().error(text)
        elif before is not None:
            self._node.get_logger().info(f"the stage {before.stage} has ended; going on")
        self._diagnose()
