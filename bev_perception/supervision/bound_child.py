# SPDX-License-Identifier: Apache-2.0
"""The command line of a child process that ends with the process that started it."""

from __future__ import annotations

import os
import runpy
import signal
import sys
from collections.abc import Sequence

from bev_perception.parent_process import end_with_parent

_CODE = "from bev_perception.supervision.bound_child import main; main()"


def command(arguments: Sequence[str]) -> list[str]:
    """The command line that runs ``python -m arguments`` bound to this process' main thread."""
    return [sys.executable, "-c", _CODE, str(os.getpid()), "-m", *arguments]


def main() -> None:
    """In the child: binds it, then runs the module as if it had been called itself."""
    _, parent, _, module, *arguments = sys.argv
    if not end_with_parent(int(parent), signal.SIGINT):
        sys.exit(f"{module}: the process that started it has ended already")
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
