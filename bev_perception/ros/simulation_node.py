# SPDX-License-Identifier: Apache-2.0
"""``ros2 run bev_perception simulation_node``: the embedded town as a vehicle on ROS 2 topics."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence

from bev_perception.errors import BevError
from bev_perception.ros.environment import require_ros, use_shipped_transport

EXIT_BAD_INPUT = 2


def main(args: Sequence[str] | None = None) -> int:
    """Runs the node until its drive is done, or until Ctrl-C.

    Args:
        args: the command line, with --ros-args; default that of the process.

    Returns:
        The exit code: 0 done or ended by Ctrl-C, 2 for what the user can mend, told in one line.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        require_ros()
        use_shipped_transport()
        _run(list(sys.argv if args is None else args), stop)
    except BevError as error:
        print(f"simulation_node: error: {' '.join(str(error).split())}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except ModuleNotFoundError as error:
        if error.name != "moderngl":
            raise
        print(
            "simulation_node: error: moderngl is not installed; "
            "pip install 'bev_perception[sim]' brings it",
            file=sys.stderr,
        )
        return EXIT_BAD_INPUT
    return 0


def _run(args: list[str], stop: threading.Event) -> None:
    """Spins the node in the background: OpenGL works only in the main thread."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.node import Node
    from rclpy.signals import SignalHandlerOptions

    from bev_perception.ros.town_drive import drive

    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = Node("town")
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        spinning = threading.Thread(target=executor.spin, name="spin")
        spinning.start()
        try:
            drive(node, stop)
        finally:
            executor.shutdown()
            spinning.join()
            node.destroy_node()
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
