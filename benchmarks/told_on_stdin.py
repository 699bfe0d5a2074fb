# SPDX-License-Identifier: Apache-2.0
"""When a helper process of a benchmark begins and ends, as the one that started it tells."""

from __future__ import annotations

import sys
import threading


def told_on_stdin() -> tuple[threading.Event, threading.Event]:
    """Two events, from a thread that listens: a line has come, and stdin has ended."""
    begun, ended = threading.Event(), threading.Event()

    def listen() -> None:
        if sys.stdin.readline():
            begun.set()
            sys.stdin.read()
        ended.set()

    threading.Thread(target=listen, daemon=True).start()
    return begun, ended
