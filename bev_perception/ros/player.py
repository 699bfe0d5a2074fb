# SPDX-License-Identifier: Apache-2.0
"""Plays a bag on the topics of the running system, serialized messages as they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock

from bev_perception.errors import BagError
from bev_perception.ros.message_definitions import message_class, message_definition
from bev_perception.ros.playable_bag import PlayableBag
from bev_perception.ros.playback_pace import PlaybackPace
from bev_perception.ros.player_settings import PlayerSettings, PlayerState
from bev_perception.ros.qos_profiles import offer_profile
from bev_perception.ros.read_ahead import Entry, ReadAhead
from bev_perception.ros.static_transforms import StaticTransforms
from bev_perception.ros.topic_selection import full_name

_SECOND = 1_000_000_000
_SLICE_S = 0.05
"""The longest sleep, so that a request to stop is heard."""

_SETTLED_S = 0.5
"""Subscribers count as complete when none came for so long."""

LATE_S = 0.1
"""A player so far behind the recording says so."""

_TELL_EVERY_S = 5.0

_DELIVERY_S = 2.0
_DELIVERY_SLICE = Duration(seconds=0.05)


class Player:
    """Plays with a node; nobody needs to spin it.

    Args:
        node: whose publishers these are.
        settings: what to play.
        warn: told what a person should know; by default the node's log.

    Raises:
        BagError: the bag cannot be read, or none of its types is installed.
    """

    def __init__(
        self, node: Node, settings: PlayerSettings, warn: Callable[[str], Any] | None = None
    ) -> None:
        self._node = node
        self._settings = settings
        self._warn = warn or node.get_logger().warning
        without = ("/clock",) if settings.clock_hz > 0 else ()
        self._bag = PlayableBag(
            settings.bag,
            settings.topics,
            settings.exclude,
            without,
            settings.start_s,
            settings.duration_s,
        )
        self.state = PlayerState()
        self._publishers: dict[str, Publisher] = {}
        self._clock: Publisher | None = None
        self._told_late_s = 0.0
        self._statics: dict[str, StaticTransforms] = {}
        try:
            self._advertise()
        except BaseException:
            self.close()
            raise

    @property
    def topics(self) -> dict[str, str]:
        """Name that is published by name in the bag."""
        return {name: self._name(name) for name in self._publishers}

    def wait_for_subscribers(self, stopping: Callable[[], bool] = lambda: False) -> bool:
        """Waits until those who want to listen can hear the first message.

        Args:
            stopping: asked again and again; True ends the waiting.

        Returns:
            Whether all of wait_for, or else anyone at all, has subscribed. If not, a warning
            names the topics.
        """
        settings = self._settings
        named = {full_name(name) for name in settings.wait_for}
        unknown = named - {self._name(name) for name in self._publishers}
        if unknown:
            raise BagError(
                f"{settings.bag}: {', '.join(sorted(unknown))} is not among the topics played"
            )
        begun = changed = time.monotonic()
        before: dict[str, int] = {}
        while not stopping() and time.monotonic() - begun < settings.wait_s:
            counts = {
                self._name(name): publisher.get_subscription_count()
                for name, publisher in self._publishers.items()
            }
            if named and all(counts[name] for name in named):
                return True
            if counts != before:
                before, changed = counts, time.monotonic()
            settled = time.monotonic() - changed > _SETTLED_S
            if not named and any(counts.values()) and settled and self._all_matched(counts):
                return True
            time.sleep(0.02)
        missing = sorted(name for name in named or before if not before.get(name))
        if settings.wait_s > 0 and not stopping() and (named or not any(before.values())):
            self._warn(
                f"nobody has subscribed to {', '.join(missing)} within {settings.wait_s:g} s; "
                f"playing all the same (same ROS_DOMAIN_ID?)"
            )
        return not missing if named else any(before.values())

    def run(self, stopping: Callable[[], bool] = lambda: False) -> PlayerState:
        """Plays to the end, or until told to stop.

        Args:
            stopping: asked at least every 50 ms.

        Raises:
            BagError: the bag is damaged.
        """
        settings = self._settings
        reader = ReadAhead(lambda: self._bag.entries(settings.loop), settings.buffer_mb)
        try:
            pace: PlaybackPace | None = None
            clock_due_s, loop = 0.0, -1
            while not stopping():
                entry = reader.take(_SLICE_S)
                if entry is None:
                    if reader.exhausted:
                        break
                    continue
                if pace is None:
                    bag = self._bag
                    pace = PlaybackPace(
                        bag.start_ns, bag.loop_end_ns, settings.rate, time.monotonic()
                    )
                if entry.loop != loop:
                    loop = entry.loop
                    self._begin_loop(pace, loop, stopping)
                clock_due_s = self._wait(pace, entry, clock_due_s, stopping)
                if stopping():
                    break
                self._publish(pace, entry)
        finally:
            reader.close()
        self._deliver(stopping)
        return self.state

    def close(self) -> None:
        """Ends the publishers and closes the bag."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
        self._publishers.clear()
        if self._clock is not None:
            self._node.destroy_publisher(self._clock)
            self._clock = None
        self._bag.close()

    def _deliver(self, stopping: Callable[[], bool]) -> None:
        """Waits until reliable subscribers have all: a publisher that ends takes the rest along."""
        end_s = time.monotonic() + _DELIVERY_S
        late = list(self._publishers.values())
        while late and not stopping() and time.monotonic() < end_s:
            late = [each for each in late if not each.wait_for_all_acked(_DELIVERY_SLICE)]
        if late and not stopping():
            names = ", ".join(each.topic_name for each in late)
            self._warn(f"subscribers of {names} have not taken all of it after {_DELIVERY_S:g} s")

    def _advertise(self) -> None:
        unplayable: dict[str, str] = {}
        for topic in self._bag.topics:
            name, msgtype = topic.name, topic.msgtype
            try:
                kind = message_class(msgtype)
                digest = message_definition(msgtype)[1]
                if topic.digest and topic.digest != digest:
                    raise BagError(f"{msgtype} was recorded with another definition than ours")
            except BagError as error:
                unplayable[name] = str(error)
                self._warn(f"not played: {name}: {error}")
                continue
            if name in self._publishers:
                unplayable[name] = "two types"
                self._warn(f"not played: {name} has several types in the bag")
                continue
            profile = offer_profile(topic.qos, latched=topic.is_tf_static)
            self._publishers[name] = self._node.create_publisher(kind, self._name(name), profile)
        self._bag.leave_out(unplayable)
        if not self._publishers:
            raise BagError(f"{self._bag.path}: none of its message types is installed here")
        if self._settings.clock_hz > 0:
            self._clock = self._node.create_publisher(Clock, "/clock", 10)

    def _name(self, recorded: str) -> str:
        names = {full_name(name): full_name(new) for name, new in self._settings.remap.items()}
        return names.get(recorded, recorded)

    def _all_matched(self, counts: Mapping[str, int]) -> bool:
        """Whether every subscriber that discovery knows of has connected."""
        return all(self._node.count_subscribers(name) <= count for name, count in counts.items())

    def _begin_loop(self, pace: PlaybackPace, loop: int, stopping: Callable[[], bool]) -> None:
        """/clock, static transforms and latched messages come before all others."""
        self.state.loops = loop
        self._sleep_until(pace.due_s(loop, pace.start_ns), stopping)
        self._tell_clock(pace.start_ns)
        self._statics = self._bag.static_transforms()
        for name, transforms in self._statics.items():
            data = transforms.message()
            if data is not None and name in self._publishers:
                self._send(name, data)
        for name, data in self._bag.latched_before_start.items():
            self._send(name, data)

    def _wait(
        self,
        pace: PlaybackPace,
        entry: Entry,
        clock_due_s: float,
        stopping: Callable[[], bool],
    ) -> float:
        """Sleeps until the message is due, /clock ticking meanwhile; when it ticks next."""
        due_s = pace.due_s(entry.loop, entry.log_ns)
        while self._clock is not None and not stopping():
            now_s = time.monotonic()
            if clock_due_s <= now_s:
                told_ns = min(pace.clock_ns(entry.loop, now_s), entry.log_ns)
                self._tell_clock(told_ns)
                period_s = 1.0 / self._settings.clock_hz
                clock_due_s = max(clock_due_s + period_s, now_s)
            if due_s <= clock_due_s:
                break
            self._sleep_until(clock_due_s, stopping)
        self._sleep_until(due_s, stopping)
        return clock_due_s

    def _publish(self, pace: PlaybackPace, entry: Entry) -> None:
        state = self.state
        statics = self._statics.get(entry.topic)
        if statics is not None:
            data = statics.message() if statics.add(entry.data) else None
            if data is None:
                return
            self._send(entry.topic, data)
        else:
            self._send(entry.topic, entry.data)
        now_s = time.monotonic()
        state.behind_s = max(0.0, now_s - pace.due_s(entry.loop, entry.log_ns))
        state.worst_s = max(state.worst_s, state.behind_s)
        if state.behind_s > LATE_S and now_s - self._told_late_s > _TELL_EVERY_S:
            self._told_late_s = now_s
            self._warn(
                f"cannot keep pace: {state.behind_s:.2f} s behind the recording; play fewer "
                f"topics or at a lower rate"
            )

    def _send(self, name: str, data: bytes) -> None:
        self._publishers[name].publish(data)
        self.state.messages += 1
        self.state.bytes += len(data)

    def _tell_clock(self, stamp_ns: int) -> None:
        if self._clock is None:
            return
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(stamp_ns, _SECOND)
        self._clock.publish(message)

    @staticmethod
    def _sleep_until(due_s: float, stopping: Callable[[], bool]) -> None:
        while (left_s := due_s - time.monotonic()) > 0 and not stopping():
            time.sleep(min(left_s, _SLICE_S))
