# SPDX-License-Identifier: Apache-2.0
"""What a recording holds, and what it lacks for training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bev_perception.bags.discovery import info_topic, is_camera_topic
from bev_perception.bags.raw_topic import is_tf_static
from bev_perception.bags.typestore import CAMERA_INFO, ODOMETRY, TF
from bev_perception.ros.recording_writer import TopicCount


@dataclass(frozen=True)
class RecordingSummary:
    """A finished recording.

    Attributes:
        path: the bag; there is none where nothing was recorded.
        parts: files of the bag.
        topics: (name, type, counts) by name.
        duration_s: between the first and the last message.
        ended: why it ended.
        problems: what a person should know, one sentence each.
    """

    path: Path
    parts: int
    topics: tuple[tuple[str, str, TopicCount], ...]
    duration_s: float
    ended: str
    problems: tuple[str, ...]

    @property
    def messages(self) -> int:
        """Recorded, over all topics."""
        return sum(count.messages for _, _, count in self.topics)

    @property
    def bytes(self) -> int:
        """Recorded, over all topics."""
        return sum(count.bytes for _, _, count in self.topics)

    def text(self) -> str:
        """A table, with the problems below it."""
        rows = [("topic", "messages", "Hz", "MB", "dropped")]
        for name, _, count in self.topics:
            rate = count.messages / self.duration_s if self.duration_s > 0 else 0.0
            size = f"{count.bytes / 1e6:.1f}"
            rows.append((name, str(count.messages), f"{rate:.1f}", size, str(count.dropped)))
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        lines = [
            row[0].ljust(widths[0])
            + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:]))
            for row in rows
        ]
        files = f"{self.parts} files" if self.parts > 1 else "1 file"
        lines.append(
            f"{self.path}: {self.messages} messages, {self.bytes / 1e6:.1f} MB, "
            f"{self.duration_s:.1f} s, {files}"
        )
        return "\n".join(lines + [f"warning: {problem}" for problem in self.problems])


def missing_for_training(topics: Mapping[str, str]) -> list[str]:
    """What `bev train` and `bev inspect` will miss, one sentence each.

    Args:
        topics: type by name of what is recorded.
    """
    cameras = sorted(name for name, kind in topics.items() if is_camera_topic(name, kind))
    problems = []
    if not cameras:
        problems.append("no camera images: start the cameras, or name their topics")
    infos = {name for name, kind in topics.items() if kind == CAMERA_INFO}
    for camera in cameras:
        if (info := info_topic(camera, infos)) not in infos:
            problems.append(
                f"no {info}: images of {camera} cannot be used without intrinsics "
                f"unless a rig file gives them"
            )
    if not any(is_tf_static(name) and kind == TF for name, kind in topics.items()):
        problems.append(
            "no /tf_static: the cameras' mounting is unknown; start what publishes it, "
            "robot_state_publisher for example, and keep it running"
        )
    moving = any(kind == ODOMETRY for kind in topics.values()) or any(
        kind == TF and not is_tf_static(name) for name, kind in topics.items()
    )
    if not moving:
        problems.append("no /tf and no odometry: the vehicle's pose is unknown")
    return problems
