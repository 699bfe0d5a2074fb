# SPDX-License-Identifier: Apache-2.0
"""A recorder in the test's own process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rclpy.parameter import Parameter
from ros_client import Client
from ros_processes import wait_for

from bev_perception.ros.recorder import Recorder, RecorderSettings
from bev_perception.ros.recording_report import RecordingSummary
from bev_perception.ros.topic_selection import TopicSelection


class Recording:
    """A recorder and its node, spun in the background.

    Attributes:
        bag: what it writes.
        warnings: what it said.
        recorder: itself.
    """

    def __init__(
        self, rclpy: Any, bag: Path, *topics: str, use_sim_time: bool = False, **settings: Any
    ) -> None:
        self.bag, self.warnings = bag, list[str]()
        sim_time = Parameter("use_sim_time", value=use_sim_time)
        self.node = Client(rclpy, "recorder", parameter_overrides=[sim_time])
        chosen = RecorderSettings(bag, TopicSelection(topics), **settings)
        self.recorder = Recorder(self.node.node, chosen, self.warnings.append)
        self.recorder.start()

    def wait_subscribed(self, *topics: str) -> None:
        """Until it listens to these topics."""
        wait_for(
            lambda: set(topics) <= set(self.recorder.topics),
            what=lambda: f"all of {topics}, recorded so far: {self.recorder.topics}",
        )

    def wait_received(self, count: int) -> None:
        """Until it has seen so many messages."""
        wait_for(
            lambda: self.recorder.received >= count,
            what=lambda: f"{count} messages, {self.recorder.received} came",
        )

    def stop(self) -> RecordingSummary:
        """Completes the bag."""
        self.node.rest()
        return self.recorder.stop()
