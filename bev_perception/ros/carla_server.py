# SPDX-License-Identifier: Apache-2.0
"""``python -m bev_perception.ros.carla_server CarlaUE4.sh --port 2000``: a server that ends.

CarlaUE4.sh starts the simulator as a child and leaves it behind when it is ended itself. Here
both are in a session of their own that ends as a whole.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

EXIT_BAD_INPUT = 2
PATIENCE_S = 10.0
FLAGS = ("-RenderOffScreen", "-nosound")
"""No window and no sound; the ROS 2 topics show more."""


def main(args: Sequence[str] | None = None) -> int:
    """Runs the server until it ends, or SIGINT or SIGTERM ends it.

    Returns:
        Its exit code; 0 when a signal ended it, 2 when it cannot be started.
    """
    parser = argparse.ArgumentParser(prog="carla_server")
    parser.add_argument("server", help="CarlaUE4.sh of an unpacked CARLA release")
    parser.add_argument("--port", type=int, default=2000)
    parser.add_argument("--quality", choices=("Low", "Epic"), default="Epic")
    parser.add_argument("--native-ros2", action="store_true", help="CARLA's own ROS 2 topics")
    given, others = parser.parse_known_args(args)
    line = command(given.server, given.port, given.quality, given.native_ros2)
    try:
        process = subprocess.Popen([*line, *others], start_new_session=True)
    except OSError as error:
        print(
            f"carla_server: error: {given.server} cannot be started: {error.strerror}; give the "
            f"path of CarlaUE4.sh of an unpacked CARLA release",
            file=sys.stderr,
        )
        return EXIT_BAD_INPUT
    asked = _Asked()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, asked)
    while not asked.to_end:
        try:
            return process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
    _end(process)
    return 0


def command(server: str, port: int, quality: str, native_ros2: bool) -> list[str]:
    """The command line; a relative path is one of this folder."""
    line = [str(Path(server).expanduser().absolute()), *FLAGS]
    line += [f"-carla-rpc-port={port}", f"-quality-level={quality}"]
    return [*line, "--ros2"] if native_ros2 else line


class _Asked:
    """Remembers a signal."""

    def __init__(self) -> None:
        self.to_end = False

    def __call__(self, *_: object) -> None:
        self.to_end = True


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the whole session, by force where it does not listen."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(PATIENCE_S)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


if __name__ == "__main__":
    sys.exit(main())
