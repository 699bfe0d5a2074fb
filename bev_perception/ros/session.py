# SPDX-License-Identifier: Apache-2.0
"""A command's life as a ROS 2 node: from the first import to a clean end on Ctrl-C."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from bev_perception.ros.environment import require_ros, use_shipped_transport
from bev_perception.ros.security import security_told

if TYPE_CHECKING:
    from rclpy.node import Node

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_IDLE_ROUNDS = 5
"""Rounds of the executor without a message after which none is waiting."""


class Session:
    """A node for a command that ends on SIGINT and SIGTERM by itself, work finished.

    Use it as a context manager in the main thread.

    Args:
        name: of the node.
        use_sim_time: whether the node's clock follows /clock.

    Raises:
        SystemLibraryError: there is no ROS 2.
    """

    def __init__(self, name: str, use_sim_time: bool = False) -> None:
        self._name = name
        self._use_sim_time = use_sim_time
        self._stopping = False
        self._handlers: dict[signal.Signals, Any] = {}
        self._executor: Any = None
        self.node: Node

    @property
    def stopping(self) -> bool:
        """Whether somebody asked for the end."""
        return self._stopping

    def __enter__(self) -> Session:
        for number in _SIGNALS:
            self._handlers[number] = signal.signal(number, self._ask_to_stop)
        try:
            use_shipped_transport()
            require_ros()
            self._open()
        except BaseException:
            self._restore_handlers()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        import rclpy

        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown()
        self._restore_handlers()

    def spin_once(self, timeout_s: float) -> None:
        """Runs at most one callback."""
        self._executor.spin_once(timeout_s)

    def drain(self, received: Callable[[], int], limit_s: float = 2.0) -> None:
        """Runs the callbacks of messages that have arrived already.

        Args:
            received: how many messages the callbacks have seen.
            limit_s: longest time, for publishers that never pause.
        """
        end = time.monotonic() + limit_s
        idle = 0
        while idle < _IDLE_ROUNDS and time.monotonic() < end:
            before = received()
            self._executor.spin_once(0.01)
            idle = idle + 1 if received() == before else 0

    def _open(self) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.parameter import Parameter
        from rclpy.signals import SignalHandlerOptions

        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        sim_time = Parameter("use_sim_time", value=self._use_sim_time)
        with security_told():
            self.node = rclpy.create_node(self._name, parameter_overrides=[sim_time])
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _restore_handlers(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
