# SPDX-License-Identifier: Apache-2.0
"""Calls that fail, run out of memory or do not return, when somebody outside says so."""

from __future__ import annotations

import time
from pathlib import Path

FAILURE, OUT_OF_MEMORY, HANG = "failure", "out of memory", "hang"
"""What a call can do instead; the word "once " in front makes it do so only once."""

ONCE = "once "
_LOOK_S = 0.005


class InjectedFailureError(RuntimeError):
    """What a call raises when it was told to fail."""


class CallOrders:
    """Orders in a file, so that another process can give them.

    Args:
        path: of the file; without it calls do what they always do.

    Attributes:
        path: the same.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def give(self, order: str) -> None:
        """From now on calls go wrong, for example as OUT_OF_MEMORY or ONCE + FAILURE."""
        partial = self.path.with_suffix(".partial")
        partial.write_text(order, encoding="utf-8")
        partial.rename(self.path)

    def revoke(self) -> None:
        """Calls go well again; those that hang go on."""
        self.path.unlink(missing_ok=True)

    def obey(self) -> None:
        """Does what is ordered; to be called where the work would begin.

        Raises:
            InjectedFailureError, MemoryError: as ordered.
        """
        try:
            order = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        if order.startswith(ONCE):
            self.revoke()
        kind = order.removeprefix(ONCE)
        if kind == FAILURE:
            raise InjectedFailureError("injected failure of the network")
        if kind == OUT_OF_MEMORY:
            raise MemoryError("injected: out of memory")
        while kind == HANG and self.path.exists():
            time.sleep(_LOOK_S)
