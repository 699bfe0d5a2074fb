# SPDX-License-Identifier: Apache-2.0
"""A bag as a player needs it: which topics, which part, what is stated first."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from bev_perception.bags.bag_file import BagFile
from bev_perception.bags.raw_topic import is_tf_static, raw_topic
from bev_perception.errors import BagError
from bev_perception.ros.read_ahead import Entry
from bev_perception.ros.static_transforms import StaticTransforms
from bev_perception.ros.topic_selection import check_expression, full_name

_SECOND = 1_000_000_000
LOOP_GAP_NS = 100_000_000
"""From the last message of a loop to the first of the next, in time of recording."""


class PlayableBag:
    """Messages of a bag between two times, chosen by topic.

    Args:
        path: of the bag.
        topics: names to play; empty for all.
        exclude: regular expression found in the names of topics that are not played.
        without: names that are not played either.
        start_s: seconds after the bag's beginning.
        duration_s: seconds from there, None to its end.

    Attributes:
        topics: what is played; one entry per topic and type.
        start_ns, end_ns: times of recording.
        latched_before_start: last message of latched topics before the start, by topic.

    Raises:
        BagError: there is no such bag, or it has none of the topics, or nothing is left.
    """

    def __init__(
        self,
        path: Path,
        topics: Collection[str] = (),
        exclude: str = "",
        without: Collection[str] = (),
        start_s: float = 0.0,
        duration_s: float | None = None,
    ) -> None:
        check_expression(exclude)
        self.path = path
        self._file = BagFile(path)
        try:
            self._connections = self._choose({full_name(name) for name in topics}, exclude, without)
            self.topics = [raw_topic(connection) for connection in self._connections]
            first_ns, last_ns = self._file.log_range_ns
            self.start_ns = first_ns + int(start_s * _SECOND)
            end_ns = last_ns + 1
            if duration_s is not None:
                end_ns = min(end_ns, self.start_ns + int(duration_s * _SECOND))
            self.end_ns = end_ns
            self._static_messages = list(self._read_static())
            self.latched_before_start = self._read_latched()
            if self.start_ns >= end_ns:
                raise BagError(
                    f"{path}: lasts {(last_ns - first_ns) / _SECOND:.2f} s; nothing is left after "
                    f"a start at {start_s:g} s"
                )
        except BaseException:
            self._file.close()
            raise

    @property
    def loop_end_ns(self) -> int:
        """Time of recording at which a loop ends and the next begins."""
        return self.end_ns + LOOP_GAP_NS

    def leave_out(self, names: Collection[str]) -> None:
        """Topics that cannot be played."""
        self._connections = [c for c in self._connections if c.topic not in names]
        self.topics = [topic for topic in self.topics if topic.name not in names]
        for name in names:
            self.latched_before_start.pop(name, None)

    def static_transforms(self) -> dict[str, StaticTransforms]:
        """Static transforms as they are at the start, by topic, for one loop to go on from.

        Transforms that were recorded late hold from the beginning.
        """
        found: dict[str, StaticTransforms] = {}
        for topic, log_ns, data in self._static_messages:
            transforms = found.setdefault(topic, StaticTransforms())
            transforms.add(data, only_new=log_ns > self.start_ns)
        return found

    def entries(self, loops: bool) -> Iterator[Entry]:
        """Messages by time of recording, once or for ever.

        Raises:
            BagError: the bag is damaged.
        """
        loop = 0
        while True:
            messages = self._file.messages(self._connections, self.start_ns, self.end_ns)
            for connection, log_ns, data in messages:
                yield Entry(loop, connection.topic, log_ns, bytes(data))
            loop += 1
            if not loops:
                return

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _read_static(self) -> Iterator[tuple[str, int, bytes]]:
        static = [c for c in self._connections if is_tf_static(c.topic)]
        for connection, log_ns, data in self._file.messages(static) if static else ():
            yield connection.topic, log_ns, bytes(data)

    def _read_latched(self) -> dict[str, bytes]:
        """The last word of every latched topic before the start, static transforms apart."""
        names = {
            topic.name
            for topic in self.topics
            if any(profile.is_latched for profile in topic.qos) and not topic.is_tf_static
        }
        latched = [c for c in self._connections if c.topic in names]
        if not latched or self.start_ns <= self._file.log_range_ns[0]:
            return {}
        messages = self._file.messages(latched, None, self.start_ns)
        return {connection.topic: bytes(data) for connection, _, data in messages}

    def _choose(self, topics: Collection[str], exclude: str, without: Collection[str]) -> list[Any]:
        known = {c.topic for c in self._file.connections}
        missing = sorted(set(topics) - known)
        if missing:
            raise BagError(
                f"{self.path}: has no topic {', '.join(missing)}; it has {', '.join(sorted(known))}"
            )
        chosen = [
            c
            for c in self._file.connections
            if c.topic not in without
            and (not topics or c.topic in topics or is_tf_static(c.topic))
            and not (exclude and re.search(exclude, c.topic))
        ]
        if not any(c.msgcount for c in chosen):
            raise BagError(f"{self.path}: no messages are left to play; it has {sorted(known)}")
        return chosen
