# SPDX-License-Identifier: Apache-2.0
"""Work for worker processes, one of which is killed as by the kernel when memory runs out."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def work(path: Path) -> None:
    """Writes its file, unless it is the one to be killed."""
    if path.name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    path.write_text("done")
