# SPDX-License-Identifier: Apache-2.0
"""A process that ends with the one that started it, however that one ends.

Who is killed with kill -9 cannot end his children; Linux does it for him.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int, number: signal.Signals) -> bool:
    """Has this process sent a signal when the thread that started it ends; on Linux only.

    Args:
        parent: process id of who started it, told by that one.
        number: of the signal.

    Returns:
        Whether the parent is still there; where it is not, no signal will come.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    return os.getppid() == parent
