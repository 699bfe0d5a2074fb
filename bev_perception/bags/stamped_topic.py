# SPDX-License-Identifier: Apache-2.0
"""One topic of a bag whose messages are fetched by their header stamp."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

from rosbags.interfaces import Connection

from bev_perception.bags.bag_file import BagFile
from bev_perception.bags.bag_index import message_stamp_ns
from bev_perception.errors import BagError

_AHEAD, _MAX_AHEAD, _MAX_AHEAD_BYTES = 16, 256, 4 << 20
"""Messages that are read at once: at first, while all are asked for, and in bytes at most."""


class StampedTopic:
    """Messages of one topic by header stamp, read from the bag one by one.

    Args:
        bag: to read from.
        connection: of the topic.
        entries: (stamp, time of recording) of its messages, in any order.
    """

    def __init__(
        self, bag: BagFile, connection: Connection, entries: Iterable[tuple[int, int]]
    ) -> None:
        self._bag = bag
        self._connection = connection
        self._entries = sorted(entries)
        self.stamps_ns = [stamp for stamp, _ in self._entries]
        self._ahead: dict[tuple[int, int], bytes] = {}
        self._num_ahead, self._num_asked = _AHEAD, 0

    @classmethod
    def scan(cls, bag: BagFile, connection: Connection) -> StampedTopic:
        """Finds the stamps by reading the topic once."""
        entries = [
            (message_stamp_ns(bag, connection, log_ns, raw), log_ns)
            for _, log_ns, raw in bag.messages([connection])
        ]
        return cls(bag, connection, entries)

    @property
    def name(self) -> str:
        """The topic."""
        return self._connection.topic

    @property
    def msgtype(self) -> str:
        """Type of its messages."""
        return self._connection.msgtype

    def nearest(self, stamp_ns: int, tolerance_ns: int) -> tuple[int, Any] | None:
        """(stamp, message) nearest in time, None beyond the tolerance.

        Raises:
            BagError: the bag is damaged.
        """
        found = self.nearest_raw(stamp_ns, tolerance_ns)
        return None if found is None else (found[0], self.decode(found[1]))

    def nearest_raw(self, stamp_ns: int, tolerance_ns: int) -> tuple[int, bytes] | None:
        """(stamp, serialized message) nearest in time, None beyond the tolerance.

        Raises:
            BagError: the bag is damaged.
        """
        best = self._nearest_entry(stamp_ns, tolerance_ns)
        return None if best is None else (best[0], self._raw(*best))

    def is_near(self, stamp_ns: int, tolerance_ns: int) -> bool:
        """Whether a message lies within the tolerance; nothing is read."""
        return self._nearest_entry(stamp_ns, tolerance_ns) is not None

    def log_ns(self, stamp_ns: int) -> int:
        """Time of recording of the first message with one of stamps_ns."""
        return self._entries[bisect_left(self.stamps_ns, stamp_ns)][1]

    def decode(self, raw: bytes) -> Any:
        """A message of this topic.

        Raises:
            BagError: the bytes do not fit the type.
        """
        return self._bag.decode(self._connection, raw)

    def has_own_definitions(self, msgtypes: tuple[str, ...]) -> bool:
        """Whether the bag defines types as this program does."""
        return self._bag.has_own_definitions(msgtypes)

    def _nearest_entry(self, stamp_ns: int, tolerance_ns: int) -> tuple[int, int] | None:
        right = bisect_left(self.stamps_ns, stamp_ns)
        near = self._entries[max(0, right - 1) : right + 1]
        best = min(near, key=lambda entry: abs(entry[0] - stamp_ns), default=None)
        return None if best is None or abs(best[0] - stamp_ns) > tolerance_ns else best

    def _raw(self, stamp_ns: int, log_ns: int) -> bytes:
        if (stamp_ns, log_ns) not in self._ahead:
            was_used = 2 * self._num_asked > len(self._ahead) > 0
            self._num_ahead = min(2 * self._num_ahead, _MAX_AHEAD) if was_used else _AHEAD
            self._read_ahead(log_ns)
        self._num_asked += 1
        raw = self._ahead.get((stamp_ns, log_ns))
        if raw is None:
            raise BagError(
                f"{self._bag.path}: the message of {self.name} at {stamp_ns} ns is gone; "
                f"the bag was changed while it was read"
            )
        return raw

    def _read_ahead(self, log_ns: int) -> None:
        """Keeps some messages from a time on.

        They are mostly asked for in order, and finding one costs as much as reading the next too:
        the longer the bag, the more.
        """
        self._ahead, self._num_asked, size = {}, 0, 0
        for _, own_log_ns, raw in self._bag.messages([self._connection], log_ns):
            is_enough = len(self._ahead) >= self._num_ahead or size > _MAX_AHEAD_BYTES
            if own_log_ns > log_ns and is_enough:
                return
            stamp_ns = message_stamp_ns(self._bag, self._connection, own_log_ns, raw)
            self._ahead.setdefault((stamp_ns, own_log_ns), raw)
            size += len(raw)
