# SPDX-License-Identifier: Apache-2.0
"""What happens to processes from outside."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable


def kill_at_once(pid: int) -> None:
    """kill -9: the process cannot clean up.

    Raises:
        ProcessLookupError: it has ended already.
    """
    os.kill(pid, signal.SIGKILL)


def full_disk_after(num_bytes: int) -> Callable[[], None]:
    """For subprocess' preexec_fn: the process' files cannot grow beyond a size.

    To the program this is a disk that becomes full: writes fail, and what was written stays.

    Args:
        num_bytes: of each file.
    """

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))

    return limit
