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
    """
    if not sys.platform.startswith("linux"):
        return
    gc.collect()
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim") and hasattr(library, "mallopt"):
        library.malloc_trim(0)
        library.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
