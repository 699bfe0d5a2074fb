# SPDX-License-Identifier: Apache-2.0
"""What can be chosen about any live drive, whichever simulator it goes through."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bev_perception.resources import config_path
from bev_perception.ros.declared_settings import MAX_INTEGER, parameter

TRUTH_TOPIC = "ground_truth/objects"


@dataclass(frozen=True)
class DriveSettings:
    """Parameters of every simulator's node. Only paused can be changed while it drives."""

    rate_hz: float = parameter(10.0, "Camera sets per second of simulated time", 0.1, 100.0)
    rig_file: str = parameter(
        "", "Cameras of the vehicle, a YAML file; empty takes the shipped four"
    )
    jpeg_quality: int = parameter(
        0, "1 to 100 publishes JPEG below image_raw/compressed; 0 publishes raw rgb8", 0, 100
    )
    reliability: str = parameter(
        "reliable",
        "Of images and CameraInfo. reliable fits every subscriber, best_effort only those that "
        "ask for no more",
        choices=("reliable", "best_effort"),
    )
    num_sets: int = parameter(
        0, "Ends the process after so many camera sets; 0 drives without end", 0, MAX_INTEGER
    )
    max_real_time_factor: float = parameter(
        1.0, "Simulated seconds per second at most; 0 drives as fast as it can", 0.0, 1000.0
    )
    paused: bool = parameter(
        False, "Whether time stands still; can be changed while the node runs", live=True
    )
    wait_for_subscribers: int = parameter(
        0, "Drives once so many subscribers are matched on every image and CameraInfo topic", 0, 100
    )
    wait_for_subscribers_on: tuple[str, ...] = parameter(
        ("",), "Other topics of this node that need a subscriber before it drives, such as /odom"
    )
    wait_for_topic: str = parameter(
        "",
        "An OccupancyGrid topic: the next set is made once an output with the stamp of the last "
        "one has come on it; empty waits for nobody",
    )
    lockstep_timeout_s: float = parameter(
        5.0,
        "How long to wait for that output, seconds; goes on without it, counts it, says so",
        0.01,
        3600.0,
    )
    publish_ground_truth: bool = parameter(True, f"Publish what is really there on {TRUTH_TOPIC}")
    publish_clock: bool = parameter(True, "Publish simulated time on /clock")

    @property
    def rig_path(self) -> Path:
        """The rig file, the shipped one where none is named."""
        return Path(self.rig_file) if self.rig_file else config_path("rigs/default.yaml")

    @property
    def other_waited_topics(self) -> tuple[str, ...]:
        """wait_for_subscribers_on without empty names, which ROS needs for an empty list."""
        return tuple(name for name in self.wait_for_subscribers_on if name)
