# SPDX-License-Identifier: Apache-2.0
"""Folders beside their final places while they are written, and what killed writers left of them.

A writer holds a lock on the folder's largest file. The lock is the process's and goes with it,
however it ends; so what nobody has locked was left, on this machine or on a shared disk.
"""

from __future__ import annotations

import fcntl
import secrets
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

_SUFFIX = ".partial"


def unfinished(place: Path) -> Path:
    """A new name for the folder that will become place."""
    return place.with_name(f".{place.name}.{secrets.token_hex(4)}{_SUFFIX}")


def hold(file: IO[bytes]) -> None:
    """Keeps remove_abandoned from a folder until all handles of this empty file are closed.

    On file systems without locks nothing is held, and nothing removed.
    """
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def remove_abandoned(places: Iterable[Path], held: str) -> None:
    """Removes what killed writers of places left; what others write at this time stays.

    Args:
        places: final folders.
        held: name of the file that a writer holds.
    """
    own = set(places)
    for parent in {place.parent for place in own}:
        for folder in parent.glob(f".*{_SUFFIX}"):
            name = folder.name[1:].removesuffix(_SUFFIX).rpartition(".")[0]
            if parent / name in own:
                _remove_if_abandoned(folder, folder / held)


def _remove_if_abandoned(folder: Path, held: Path) -> None:
    try:
        with held.open("r+b") as file:
            if not held.stat().st_size:
                return  # its writer may be about to hold it
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return  # it is held, gone, or another user's
