# SPDX-License-Identifier: Apache-2.0
"""Reads a bag in a thread of its own, so that playing never waits for a disk."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

MEGABYTE = 1_000_000


class Entry(NamedTuple):
    """A message to play.

    Attributes:
        loop: how often the bag had been played to its end before.
        topic: recorded name.
        log_ns: time of recording.
        data: the message in CDR.
    """

    loop: int
    topic: str
    log_ns: int
    data: bytes


class ReadAhead:
    """Messages of a bag, some megabytes of them read before they are asked for.

    Args:
        entries: makes the iterator that is read in the thread.
        buffer_mb: megabytes to read ahead.
    """

    def __init__(self, entries: Callable[[], Iterator[Entry]], buffer_mb: float = 64.0) -> None:
        self._entries = entries
        self._capacity = int(buffer_mb * MEGABYTE)
        self._queue: deque[Entry] = deque()
        self._queued_bytes = 0
        self._changed = threading.Condition()
        self._done = self._closing = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="bag reader", daemon=True)
        self._thread.start()

    def take(self, timeout_s: float) -> Entry | None:
        """The next message; None when it is not there within the time, or after the last.

        Raises:
            BagError: the bag is damaged.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._done, timeout_s)
            if not self._queue:
                if self._error is not None:
                    raise self._error
                return None
            entry = self._queue.popleft()
            self._queued_bytes -= len(entry.data)
            self._changed.notify_all()
            return entry

    @property
    def exhausted(self) -> bool:
        """Whether the last message has been taken."""
        with self._changed:
            return self._done and not self._queue

    def close(self) -> None:
        """Ends the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def _read(self) -> None:
        try:
            for entry in self._entries():
                with self._changed:
                    self._changed.wait_for(self._may_add)
                    if self._closing:
                        return
                    self._queue.append(entry)
                    self._queued_bytes += len(entry.data)
                    self._changed.notify_all()
        except BaseException as error:  # handed to the thread that takes the messages
            self._error = error
        finally:
            with self._changed:
                self._done = True
                self._changed.notify_all()

    def _may_add(self) -> bool:
        return self._closing or not self._queue or self._queued_bytes < self._capacity
