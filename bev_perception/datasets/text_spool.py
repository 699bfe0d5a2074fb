# SPDX-License-Identifier: Apache-2.0
"""Texts that are needed later, in memory while they are few, in a nameless file when many."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType

_IN_MEMORY = 64 << 20


class TextSpool:
    """A context manager; what it holds is gone with it.

    Args:
        folder: for the file.
    """

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115 closed by __exit__
            max_size=_IN_MEMORY, dir=str(folder)
        )
        self._size = 0

    def __enter__(self) -> TextSpool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    @property
    def size(self) -> int:
        """Bytes of all texts."""
        return self._size

    def add(self, text: str) -> tuple[int, int]:
        """Keeps a text; the place (start, stop) finds it again."""
        data = text.encode()
        self._file.seek(self._size)
        self._file.write(data)
        place = self._size, self._size + len(data)
        self._size = place[1]
        return place

    def text(self, place: tuple[int, int]) -> str:
        """What add kept there."""
        self._file.seek(place[0])
        return self._file.read(place[1] - place[0]).decode()
