# SPDX-License-Identifier: Apache-2.0
"""``python -m bev_perception.ros.port_wait HOST PORT``: ends once somebody listens there."""

from __future__ import annotations

import argparse
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence

EXIT_BAD_INPUT = 2
EXIT_ENDED = 130
LOOK_UP_S = 0.2
ATTEMPT_S = 2.0


def main(args: Sequence[str] | None = None) -> int:
    """Waits for a TCP port.

    Returns:
        0 when it is open, 2 when it is not in time, 130 when a signal ended the waiting.
    """
    parser = argparse.ArgumentParser(prog="port_wait")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--timeout", type=float, default=120.0, metavar="S")
    given = parser.parse_args(args)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if wait_for_port(given.host, given.port, given.timeout, stop):
        return 0
    if stop.is_set():
        return EXIT_ENDED
    print(
        f"port_wait: error: nobody listens on {given.host}:{given.port} after "
        f"{given.timeout:g} s; look at the server's output, or give it more time",
        file=sys.stderr,
    )
    return EXIT_BAD_INPUT


def wait_for_port(host: str, port: int, timeout_s: float, stop: threading.Event) -> bool:
    """Whether somebody listened there before timeout_s were over or stop was set."""
    end = time.monotonic() + timeout_s
    while not stop.is_set() and time.monotonic() < end:
        try:
            with socket.create_connection((host, port), timeout=ATTEMPT_S):
                return True
        except OSError:
            stop.wait(LOOK_UP_S)
    return False


if __name__ == "__main__":
    sys.exit(main())
