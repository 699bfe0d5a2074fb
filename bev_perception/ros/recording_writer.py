# SPDX-License-Identifier: Apache-2.0
"""Writes messages to a bag in a thread of its own, so that callbacks never wait for a disk."""

from __future__ import annotations

import shutil
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bev_perception.bags.bag_sink import BagSink
from bev_perception.bags.raw_topic import RawTopic
from bev_perception.errors import BagError, BevError
from bev_perception.ros.static_transforms import StaticTransforms

MEGABYTE = 1_000_000
_SECOND = 1_000_000_000
_FREE_RESERVE = 100 * MEGABYTE
"""Bytes that must stay free on the disk to finish a bag, beside the messages still waiting."""
_CHECK_EVERY = 16 * MEGABYTE


@dataclass(frozen=True)
class RecordingLimits:
    """When a bag goes on in another file, and when it ends.

    Attributes:
        part_s: seconds per file, None for any.
        part_mb: megabytes of messages per file, before compression, None for any.
        duration_s: seconds from the first message to the end, None for none.
        buffer_mb: megabytes of messages that may wait for the disk; more are dropped.
    """

    part_s: float | None = None
    part_mb: float | None = None
    duration_s: float | None = None
    buffer_mb: float = 256.0

    @property
    def splits(self) -> bool:
        """Whether the bag may become several files."""
        return self.part_s is not None or self.part_mb is not None


@dataclass
class TopicCount:
    """How much of one topic was recorded, and how much was not."""

    messages: int = 0
    bytes: int = 0
    dropped: int = 0


@dataclass
class WriterState:
    """What the writer has done. Read it at any time, from any thread.

    Attributes:
        topics: counts by name.
        first_ns, last_ns: times of recording so far.
        backward_ns: the longest jump back in time.
        parts: files begun.
        ended: why the writer ended by itself, empty while it has not.
        error: what went wrong, None for nothing.
    """

    topics: dict[str, TopicCount] = field(default_factory=dict)
    first_ns: int | None = None
    last_ns: int = 0
    backward_ns: int = 0
    parts: int = 0
    ended: str = ""
    error: BevError | None = None

    @property
    def messages(self) -> int:
        """Written, over all topics."""
        return sum(count.messages for count in list(self.topics.values()))

    @property
    def bytes(self) -> int:
        """Written, over all topics."""
        return sum(count.bytes for count in list(self.topics.values()))

    @property
    def dropped(self) -> int:
        """Lost because the disk was too slow, over all topics."""
        return sum(count.dropped for count in list(self.topics.values()))


class RecordingWriter:
    """A bag, the thread that writes it, and the messages that wait for it.

    Args:
        path: folder that the bag will be; must not exist.
        storage, compressed: see BagSink.
        limits: files and buffer.
        free_bytes: space left on the disk of a folder.

    Raises:
        BagError: the path exists.
    """

    def __init__(
        self,
        path: Path,
        storage: str = "mcap",
        compressed: bool = False,
        limits: RecordingLimits | None = None,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        self.state = WriterState()
        self._limits = limits or RecordingLimits()
        self._sink = BagSink(path, storage, compressed, numbered=True)
        self._free_bytes = free_bytes
        self._unchecked = _CHECK_EVERY
        self._queue: deque[tuple[RawTopic, int, bytes]] = deque()
        self._queued_bytes = 0
        self._capacity = int(self._limits.buffer_mb * MEGABYTE)
        self._changed = threading.Condition()
        self._stopping = False
        self._defect: BaseException | None = None
        self._announced: dict[str, RawTopic] = {}
        self._statics: dict[str, tuple[RawTopic, StaticTransforms]] = {}
        self._part_start_ns = 0
        self._part_bytes = 0
        self._thread = threading.Thread(target=self._run, name="bag writer", daemon=True)

    def start(self) -> None:
        """Begins to write as soon as there is a message."""
        self._thread.start()

    def put(self, topic: RawTopic, log_ns: int, data: bytes) -> bool:
        """Hands over a message; False where it was dropped. Never blocks on the disk.

        Static transforms are never dropped.
        """
        with self._changed:
            if self.state.ended or self._stopping:
                return False
            full = self._queued_bytes + len(data) > self._capacity and bool(self._queue)
            if full and not topic.is_tf_static:
                self._count(topic).dropped += 1
                return False
            self._queue.append((topic, log_ns, data))
            self._queued_bytes += len(data)
            self._changed.notify()
        return True

    def announce(self, topic: RawTopic) -> None:
        """A topic that the bag shall list even if no message comes."""
        with self._changed:
            self._announced.setdefault(topic.name, topic)

    def stop(self) -> WriterState:
        """Writes what waits, completes the bag and moves it to its path.

        A bag without messages is not written at all.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()
        if self._defect is not None:
            raise self._defect
        return self.state

    def _run(self) -> None:
        try:
            while not self.state.ended and (entry := self._next()) is not None:
                self._write(*entry)
            if self.state.messages:
                with self._changed:
                    announced = list(self._announced.values())
                self._sink.announce(announced)
                self._sink.commit()
        except BevError as error:
            self._save_the_rest(error)
        except BaseException as error:  # handed to the thread that calls stop
            self._defect = error
        finally:
            self._sink.discard()
            with self._changed:
                self.state.ended = self.state.ended or "stopped"
                self._queue.clear()
                self._queued_bytes = 0

    def _next(self) -> tuple[RawTopic, int, bytes] | None:
        """The next message; None when all are written and no more will come."""
        with self._changed:
            while not self._queue and not self._stopping:
                self._changed.wait()
            if not self._queue:
                return None
            entry = self._queue.popleft()
            self._queued_bytes -= len(entry[2])
            return entry

    def _write(self, topic: RawTopic, log_ns: int, data: bytes) -> None:
        state, limits = self.state, self._limits
        if state.first_ns is None:
            self._sink.open()
            state.first_ns = self._part_start_ns = log_ns
            state.parts = 1
        state.backward_ns = max(state.backward_ns, state.last_ns - log_ns)
        if limits.duration_s is not None and log_ns - state.first_ns > limits.duration_s * _SECOND:
            self._end(f"{limits.duration_s:g} s are over")
            return
        if not self._has_space(len(data)):
            return
        if self._part_is_full(log_ns):
            self._next_part(log_ns)
        if topic.is_tf_static:
            self._statics.setdefault(topic.name, (topic, StaticTransforms()))[1].add(data)
        self._sink.write_raw(topic, log_ns, data)
        self._part_bytes += len(data)
        state.last_ns = log_ns
        count = self._count(topic)
        count.messages += 1
        count.bytes += len(data)

    def _part_is_full(self, log_ns: int) -> bool:
        part_s, part_mb = self._limits.part_s, self._limits.part_mb
        by_time = part_s is not None and log_ns - self._part_start_ns >= part_s * _SECOND
        return by_time or (part_mb is not None and self._part_bytes >= part_mb * MEGABYTE)

    def _next_part(self, log_ns: int) -> None:
        """Another file, which begins with all static transforms."""
        self._sink.split()
        self.state.parts = self._sink.num_parts
        self._part_start_ns, self._part_bytes = log_ns, 0
        for topic, statics in self._statics.values():
            data = statics.message()
            if data is not None:
                self._sink.write_raw(topic, log_ns, data)

    def _has_space(self, size: int) -> bool:
        """Ends the recording while there is still room to complete the bag."""
        self._unchecked += size
        folder = self._sink.folder
        if self._unchecked < _CHECK_EVERY or folder is None:
            return True
        self._unchecked = 0
        free = self._free_bytes(folder)
        if free >= _FREE_RESERVE:
            return True
        self.state.error = BagError(
            f"{self._sink.path}: the disk is full ({free / MEGABYTE:.0f} MB left), so recording "
            f"ended early; what was recorded until then is kept"
        )
        self._end("the disk is full")
        return False

    def _end(self, reason: str) -> None:
        with self._changed:
            self.state.ended = reason
            self._queue.clear()
            self._queued_bytes = 0

    def _save_the_rest(self, error: BevError) -> None:
        """After a failed write: the files before it stay a bag."""
        kept = f"the {self._sink.num_parts - 1} files before are kept"
        text = kept if self._sink.num_parts > 1 else "nothing before it was complete"
        try:
            remains = self._sink.salvage()
            if remains is not None:
                text += f"; the file that was cut off is {remains}, `mcap recover` reads it"
        except BevError as second:
            text = str(second)
        self.state.error = BagError(f"{error}; {text}")
        self._end("writing failed")

    def _count(self, topic: RawTopic) -> TopicCount:
        return self.state.topics.setdefault(topic.name, TopicCount())
