# SPDX-License-Identifier: Apache-2.0
"""The life of a simulator's node: parameters, signals, exit codes."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bev_perception.errors import BevError
from bev_perception.ros.environment import require_ros, start_ros, use_shipped_transport
from bev_perception.ros.security import security_told

if TYPE_CHECKING:
    from rclpy.node import Node

EXIT_BAD_INPUT = 2
LOOK_UP_S = 0.1
"""The end of a drive is noticed this fast."""

Drive = Callable[["Node", threading.Event], None]


def run_drive(
    program: str,
    node_name: str,
    load_drive: Callable[[], Drive],
    extras: Mapping[str, str],
    args: Sequence[str] | None = None,
) -> int:
    """Runs a drive in the main thread until it is done, or until Ctrl-C or SIGTERM.

    Args:
        program: name in errors.
        node_name: of the node, unless remapped.
        load_drive: imports what drives; its modules may need rclpy and packages of extras.
        extras: extra of this package that brings a missing module, by module.
        args: the command line, with --ros-args; default that of the process.

    Returns:
        The exit code: 0 done or ended by a signal, 2 for what the user can mend, told in one
        line.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        require_ros()
        use_shipped_transport()
        _spin_beside(node_name, load_drive, list(sys.argv if args is None else args), stop)
    except BevError as error:
        print(f"{program}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except ModuleNotFoundError as error:
        extra = extras.get(error.name or "")
        if extra is None:
            raise
        print(
            f"{program}: error: {error.name} is not installed; "
            f"pip install 'bev_perception[{extra}]' brings it",
            file=sys.stderr,
        )
        return EXIT_BAD_INPUT
    return 0


def _spin_beside(
    node_name: str, load_drive: Callable[[], Drive], args: list[str], stop: threading.Event
) -> None:
    """Spins the node in the background: OpenGL works only in the main thread."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.node import Node

    drive = load_drive()
    start_ros(args)
    try:
        with security_told():
            node: Any = Node(node_name)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        done = threading.Event()

        def spin() -> None:
            # Not executor.spin(): shut down while it begins, it waits for ever.
            while not done.is_set():
                executor.spin_once(LOOK_UP_S)

        spinning = threading.Thread(target=spin, name="spin")
        spinning.start()
        try:
            drive(node, stop)
        finally:
            done.set()
            spinning.join()
            executor.shutdown()
            node.destroy_node()
    finally:
        rclpy.try_shutdown()
