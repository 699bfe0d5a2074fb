# SPDX-License-Identifier: Apache-2.0
"""Work for worker processes that are killed, or whose parent is."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def work(path: Path) -> None:
    """Writes its file, unless it is the one to be killed."""
    if path.name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    path.write_text("done")


def linger(path: Path) -> None:
    """Writes its process id and works on for longer than any test."""
    partial = path.with_suffix(".partial")
    partial.write_text(str(os.getpid()))
    partial.rename(path)
    time.sleep(120.0)
