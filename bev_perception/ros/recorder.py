# SPDX-License-Identifier: Apache-2.0
"""Records topics of the running system into a bag, serialized messages as they come."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from bev_perception.errors import BagError
from bev_perception.ros.raw_subscriptions import RawSubscriptions, arrival_ns
from bev_perception.ros.recording_report import RecordingSummary, missing_for_training
from bev_perception.ros.recording_writer import RecordingLimits, RecordingWriter, WriterState
from bev_perception.ros.topic_selection import TopicSelection, full_name

DISCOVERY_PERIOD_S = 0.1
SETTLING_S = 3.0
"""After this time it is told what training will miss."""

CLOCK_PATIENCE_S = 5.0
"""After this time without /clock it is told that nothing is recorded."""


@dataclass(frozen=True)
class RecorderSettings:
    """What is recorded, and where to.

    Attributes:
        path: folder that the bag will be; must not exist.
        selection: of topics.
        storage: mcap or sqlite3.
        compressed: zstd.
        limits: files, buffer and end.
    """

    path: Path
    selection: TopicSelection = field(default_factory=TopicSelection)
    storage: str = "mcap"
    compressed: bool = False
    limits: RecordingLimits = field(default_factory=RecordingLimits)


class Recorder:
    """Records with a node that somebody else spins.

    Topics are found while recording; each is subscribed as its publishers offer it. With
    ``use_sim_time`` the time of recording is that of /clock, and nothing is recorded before
    its first message.

    Args:
        node: whose subscriptions these are.
        settings: what to record.
        warn: told what a person should know; by default the node's log.

    Raises:
        BagError: the path exists.
    """

    def __init__(
        self, node: Node, settings: RecorderSettings, warn: Callable[[str], Any] | None = None
    ) -> None:
        self._node = node
        self._settings = settings
        self._warn = warn or node.get_logger().warning
        self._writer = RecordingWriter(
            settings.path, settings.storage, settings.compressed, settings.limits
        )
        self._subscriptions = RawSubscriptions(
            node, settings.selection.wants, self._received, self._refused, self._writer.announce
        )
        self._topics = self._subscriptions.topics
        self._early_statics: list[tuple[str, bytes]] = []
        self._sim_time = bool(node.get_parameter("use_sim_time").value)
        self._clock_came = not self._sim_time
        self._started = time.monotonic()
        self._told_missing = self._told_clock = False
        self._timer: Any = None
        self._received_count = 0

    @property
    def state(self) -> WriterState:
        """What has been written so far."""
        return self._writer.state

    @property
    def received(self) -> int:
        """Messages that callbacks have seen."""
        return self._received_count

    @property
    def topics(self) -> dict[str, str]:
        """Type by name of the topics that are subscribed."""
        return {name: topic.msgtype for name, topic in self._topics.items()}

    @property
    def finished(self) -> bool:
        """Whether it has ended by itself: the duration is over, or the disk is full."""
        duration_s, first_ns = self._settings.limits.duration_s, self.state.first_ns
        if duration_s is not None and first_ns is not None:
            now_ns = self._node.get_clock().now().nanoseconds
            return bool(self.state.ended) or now_ns - first_ns > duration_s * 1e9
        return bool(self.state.ended)

    def start(self) -> None:
        """Begins to look for topics and to record them."""
        self._started = time.monotonic()
        self._writer.start()
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self._node.create_timer(DISCOVERY_PERIOD_S, self._look_around, clock=steady)

    def stop(self) -> RecordingSummary:
        """Completes the bag.

        Raises:
            BagError: nothing was recorded, or it could not be written; what was is kept.
        """
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        self._subscriptions.close()
        state = self._writer.stop()
        if state.error is not None:
            raise state.error
        if not state.messages:
            raise BagError(f"{self._settings.path}: nothing was recorded: {self._why_nothing()}")
        return self._summary(state)

    def _look_around(self) -> None:
        self._subscriptions.look_around()
        self._tell()

    def _received(self, name: str, data: bytes, info: Any) -> None:
        self._received_count += 1
        topic = self._topics[name]
        log_ns = self._log_time_ns(info)
        if log_ns is None:
            if topic.is_tf_static:
                self._early_statics.append((name, data))
            return
        for early_name, early in self._early_statics:
            self._writer.put(self._topics[early_name], log_ns, early)
        self._early_statics.clear()
        self._writer.put(topic, log_ns, data)

    def _log_time_ns(self, info: Any) -> int | None:
        """Time of recording; None before the first /clock."""
        if self._sim_time:
            now_ns = int(self._node.get_clock().now().nanoseconds)
            self._clock_came |= now_ns > 0
            return now_ns if self._clock_came else None
        return arrival_ns(info)

    def _refused(self, reason: str) -> None:
        self._warn(f"not recorded: {reason}")

    def _tell(self) -> None:
        """Warns once, when discovery had its time."""
        waited_s = time.monotonic() - self._started
        if not self._clock_came and not self._told_clock and waited_s > CLOCK_PATIENCE_S:
            self._told_clock = True
            self._warn(
                "nothing is recorded yet: --use-sim-time waits for /clock, which has not come "
                f"for {waited_s:.0f} s; start the simulator, or record without it"
            )
        if not self._told_missing and waited_s > SETTLING_S:
            self._told_missing = True
            for problem in self._problems(self.topics):
                self._warn(problem)

    def _problems(self, topics: dict[str, str]) -> list[str]:
        problems = []
        wanted = self._settings.selection.topics
        for name in map(full_name, wanted):
            if name not in topics and name not in self._subscriptions.refusals:
                problems.append(f"nobody publishes {name}")
        if not wanted:
            problems += missing_for_training(topics)
        if "/clock" in topics and not self._sim_time:
            problems.append(
                "/clock is published, but times of recording are those of this machine; "
                "--use-sim-time records simulation time"
            )
        return problems

    def _why_nothing(self) -> str:
        if not self._clock_came:
            return "no message came on /clock, which --use-sim-time waits for"
        if not self._topics:
            return "none of the topics is published (same ROS_DOMAIN_ID?)"
        return f"no message came on {', '.join(sorted(self._topics))}"

    def _summary(self, state: WriterState) -> RecordingSummary:
        filled = {
            name: kind
            for name, kind in self.topics.items()
            if name in state.topics and state.topics[name].messages
        }
        problems = self._problems(filled)
        if state.dropped:
            worst = max(state.topics, key=lambda name: state.topics[name].dropped)
            problems.append(
                f"{state.dropped} messages were dropped because the disk was too slow, most of "
                f"{worst}; use a faster disk, fewer topics or compressed images"
            )
        if state.backward_ns > 0 and self._sim_time:
            problems.append(f"/clock jumped back by {state.backward_ns / 1e9:.2f} s")
        assert state.first_ns is not None
        return RecordingSummary(
            path=self._settings.path,
            parts=state.parts,
            topics=tuple(
                (name, self._topics[name].msgtype, state.topics[name])
                for name in sorted(state.topics)
            ),
            duration_s=(state.last_ns - state.first_ns) / 1e9,
            ended=state.ended,
            problems=tuple(problems),
        )
