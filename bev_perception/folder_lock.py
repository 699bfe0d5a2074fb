# SPDX-License-Identifier: Apache-2.0
"""A folder that one process at a time writes to."""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_NAME = ".lock"

_held: set[Path] = set()
"""Folders of this process: closing any handle of their files would give its locks away."""


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Keeps other writers out of a folder, which is made when missing.

    The lock is the process's own, not that of processes that it starts, and goes with it, however
    it ends. On file systems without locks only this process itself is kept out.

    Raises:
        BlockingIOError: the folder has a writer.
        OSError: nothing can be written there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place = folder.resolve()
    if place in _held:
        raise BlockingIOError(errno.EAGAIN, "this process writes there", str(folder))
    with (folder / LOCK_NAME).open("w") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):  # POSIX leaves open which of the two
                raise BlockingIOError(error.errno, "another process writes", str(folder)) from error
        _held.add(place)
        try:
            yield
        finally:
            _held.discard(place)
