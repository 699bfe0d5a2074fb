# SPDX-License-Identifier: Apache-2.0
"""Publishes a simulator's sets: keeps pace, pauses, waits for those behind it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from rclpy.node import Node

from bev_perception.ros.drive_settings import DriveSettings
from bev_perception.ros.labelled_set_topics import LabelledSet, LabelledSetTopics
from bev_perception.ros.pace import Pace

LOOK_UP_S = 0.05
REMINDER_S = 5.0
ACKNOWLEDGEMENT_S = 10.0


class SetDrive:
    """One drive of one node.

    Args:
        node: has the parameter paused.
        topics: what is published.
        settings: see there.
        stop: ends the drive after the set at work.
    """

    def __init__(
        self,
        node: Node,
        topics: LabelledSetTopics,
        settings: DriveSettings,
        stop: threading.Event,
    ) -> None:
        self._node, self._topics, self._settings, self._stop = node, topics, settings, stop
        self._log = node.get_logger()
        self._driven = 0
        self._started: float | None = None

    def run(self, sets: Iterator[LabelledSet], stamp_ns: int) -> None:
        """Drives until the sets or num_sets are done, or stop is set, and says how it went.

        Args:
            sets: the next one is made when it is asked for.
            stamp_ns: simulated time before the first of them.
        """
        settings, topics = self._settings, self._topics
        topics.publish_rig(stamp_ns)
        pace = Pace(settings.rate_hz, settings.max_real_time_factor)
        try:
            while not settings.num_sets or self._driven < settings.num_sets:
                self._stand_still(stamp_ns)
                if self._stop.is_set():
                    break
                self._started = self._started or time.monotonic()
                simulated = next(sets, None)
                if simulated is None:
                    break
                pace.wait(self._stop)
                topics.publish_set(simulated)
                self._driven, stamp_ns = self._driven + 1, simulated.frame_set.stamp_ns
                self._wait_for_output()
            if not self._stop.is_set() and not topics.wait_for_acknowledgements(ACKNOWLEDGEMENT_S):
                self._log.warning(
                    f"not all subscribers had everything {ACKNOWLEDGEMENT_S:g} s after the end"
                )
        finally:
            self._log.info(self._summary())

    def _stand_still(self, stamp_ns: int) -> None:
        """Stands still while paused and, at the start, until the subscribers are there.

        The clock is told all the while; what it waits for is said now and then.
        """
        due = time.monotonic() + REMINDER_S
        while reasons := self._reasons_to_stand():
            self._topics.publish_clock(stamp_ns)
            if self._stop.wait(LOOK_UP_S):
                break
            if time.monotonic() >= due:
                self._log.info(f"standing still: {', '.join(reasons)}")
                due += REMINDER_S

    def _reasons_to_stand(self) -> list[str]:
        paused = ["paused is true"] if self._node.get_parameter("paused").value else []
        return paused + ([] if self._driven else self._topics.missing_subscribers())

    def _wait_for_output(self) -> None:
        lockstep, timeout_s = self._topics.lockstep, self._settings.lockstep_timeout_s
        if lockstep is None or lockstep.wait(timeout_s, self._stop) or self._stop.is_set():
            return
        self._log.warning(
            f"no output on {lockstep.topic} for the set at {lockstep.stamp_ns / 1e9:.3f} s within "
            f"{timeout_s:g} s; going on without it, {lockstep.missed} so far"
        )

    def _summary(self) -> str:
        elapsed_s = time.monotonic() - self._started if self._started else 0.0
        text = f"drove {self._driven} sets in {elapsed_s:.1f} s"
        lockstep = self._topics.lockstep
        if lockstep is not None:
            text += f", {lockstep.missed} without an output on {lockstep.topic}"
        return text
