# SPDX-License-Identifier: Apache-2.0
"""``ros2 run bev_perception perception_node``: cameras in, occupancy grids and objects out."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import traceback
from collections import namedtuple
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from bev_perception.errors import BevError
from bev_perception.ros.environment import require_ros, use_shipped_transport
from bev_perception.ros.prepared_node import DISCOVERY_S, PreparedNode, as_plain
from bev_perception.ros.security import security_told
from bev_perception.supervision.program import STANDBY_OPTION, run_with_standby
from bev_perception.supervision.supervised_life import SupervisedLife

if TYPE_CHECKING:
    from rclpy.executors import Executor

    from bev_perception.ros.perception_lifecycle import PerceptionNode

EXIT_BAD_INPUT = 2
MODULE = "bev_perception.ros.perception_node"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
SWITCH_INTERVAL_S = 1e-4
"""Threads wait this long for the interpreter; Python's 5 ms are the node's whole budget."""
_interrupted = threading.Event()
"""A signal came while the node started. Compiled code may make another error of the exception:
one that strikes in the import of OpenVINO says that it is not installed."""


def main(args: Sequence[str] | None = None) -> int:
    """Runs the node until it is told to end.

    Threads that wait for each other sleep instead of spinning, and NumPy's products stay in the
    thread that asks, unless the environment says otherwise; see cli.main.

    Args:
        args: the command line, with --ros-args; default that of the process. With --standby, this
            process starts the node and another one that waits for the node's death.

    Returns:
        The exit code: 0 ended by Ctrl-C or SIGTERM, at whatever moment, 2 for what the user can
        mend, told in one line.
    """
    arguments = list(sys.argv if args is None else args)
    if STANDBY_OPTION in arguments:
        own = [part for part in arguments[1:] if part != STANDBY_OPTION]
        return run_with_standby([MODULE, *own], "perception_node")
    life = SupervisedLife.from_environment()
    _interrupted.clear()
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: its matrices are small
    try:
        require_ros()
        use_shipped_transport()
        prepared = PreparedNode(arguments)
        if life is not None and not life.wait(prepared.prepare, DISCOVERY_S):
            prepared.close()
            return 0
        return _run(prepared, life)
    except KeyboardInterrupt:
        return 0
    except BevError as error:
        if _interrupted.is_set():
            return 0
        print(f"perception_node: error: {' '.join(str(error).split())}", file=sys.stderr)
        return EXIT_BAD_INPUT
    finally:
        _forget_interrupts()


def _forget_interrupts() -> None:
    """Without it, ``python -m`` may end as if it had been killed by SIGINT.

    CPython notes an interrupt that strikes where the text of a class is run, as at the import of
    dataclasses, and does not see that it was caught later; the next such text clears the note.
    """
    namedtuple("_Text", ())


def _run(prepared: PreparedNode, life: SupervisedLife | None) -> int:
    import rclpy
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
    from rclpy.signals import (
        SignalHandlerOptions,
        install_signal_handlers,
        uninstall_signal_handlers,
    )

    from bev_perception.ros.perception_lifecycle import PerceptionNode

    prepared.start_ros()
    node: PerceptionNode | None = None
    try:
        with security_told():
            node = PerceptionNode(prepared.load, life)
        prepared.is_there()
        memory = {} if life is None or life.takeover is None else life.takeover.memory
        node.restore(memory.get("parameters", {}))
        has_started = node.start(memory.get("state", ""))
        if _interrupted.is_set():
            return 0
        if not has_started:
            return EXIT_BAD_INPUT
        if life is not None:
            _keep_told(life, node)
        gc.collect()
        gc.freeze()  # torch's objects are many and stay: looking through them takes 0.1 s each time
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        for number in _SIGNALS:
            signal.signal(number, _leave_to_ros)
        install_signal_handlers(SignalHandlerOptions.ALL)
        # What is left of a node that was shut down is of no use, and needs no standby.
        _spin(executor, node, lambda: life is None or node.state != "finalized")
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        if rclpy.ok():
            raise  # otherwise a signal has ended ROS under a callback
    finally:
        uninstall_signal_handlers()
        for number in _SIGNALS:  # a second Ctrl-C would only tear the end
            signal.signal(number, signal.SIG_IGN)
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _keep_told(life: SupervisedLife, node: PerceptionNode) -> None:
    """From now on the supervisor knows what the next node needs to go on as this one was."""

    def tell() -> None:
        order = None if node.order is None else as_plain(node.order)
        life.tell({"state": node.state, "parameters": node.changed}, order)

    node.on_change = tell
    tell()


def _spin(executor: Executor, node: PerceptionNode, may_go_on: Callable[[], bool]) -> None:
    """Spins until ROS ends, also past a /clock that rclpy itself cannot read."""
    import rclpy

    while rclpy.ok() and may_go_on():
        try:
            executor.spin_once()
        except ValueError as error:
            frames = traceback.extract_tb(error.__traceback__)
            if not any(Path(frame.filename).name == "time_source.py" for frame in frames):
                raise
            node.get_logger().error(
                f"/clock: {error}; look for who publishes it", throttle_duration_sec=5.0
            )


def _interrupt(number: int, frame: FrameType | None) -> None:
    _interrupted.set()
    raise KeyboardInterrupt


def _leave_to_ros(number: int, frame: FrameType | None) -> None:
    """rclpy's own handler, which runs before, ends ROS and with it spin.

    An exception from here could strike in compiled code that reads a message, which makes a
    crash of it.
    """


if __name__ == "__main__":
    sys.exit(main())
