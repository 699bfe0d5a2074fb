# SPDX-License-Identifier: Apache-2.0
"""How glibc's allocator treats what loading and inference free."""

from __future__ import annotations

import ctypes
import gc
import sys

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEPT_BYTES = 1 << 30
_LARGEST_MMAP_THRESHOLD = 1 << 25


def settle_memory() -> None:
    """Gives back what loading freed, and keeps what inference frees between two sets.

    Loading makes the network several times over, as trained, folded and rearranged, and the
    pieces, 0.6 GiB of the seed preset's network, would stay beside what inference takes. Inference
    takes the same memory again and again; given back each time, it would be cleared page by
    page each time. For the whole process; does nothing where the C library is not glibc.

    What is kept never shrinks by itself: a process that runs for hours calls give_back_memory now
    and then.
    """
    library = _glibc()
    if library is not None:
        gc.collect()
        library.malloc_trim(0)
        library.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)


def give_back_memory() -> None:
    """Gives the pages that nothing uses at the moment back to the system, in a few milliseconds.

    Otherwise tap tables that come and go, and images of other sizes, leave holes of which each
    worst moment adds some. Any thread may call it.
    """
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    """The C library, where it is glibc."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    has_both = hasattr(library, "malloc_trim") and hasattr(library, "mallopt")
    return library if has_both else None
