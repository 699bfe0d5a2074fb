# SPDX-License-Identifier: Apache-2.0
"""A child process that ends with the process that started it, however that one ends.

Who is killed with kill -9 cannot end his children; Linux does it for him.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1
_CODE = "from bev_perception.supervision.bound_child import main; main()"


def command(arguments: Sequence[str]) -> list[str]:
    """The command line that runs ``python -m arguments`` bound to this process' main thread."""
    return [sys.executable, "-c", _CODE, str(os.getpid()), "-m", *arguments]


def main() -> None:
    """In the child: binds it, then runs the module as if it had been called itself."""
    _, parent, _, module, *arguments = sys.argv
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != int(parent):
            sys.exit(f"{module}: the process that started it has ended already")
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
