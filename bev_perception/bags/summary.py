# SPDX-License-Identifier: Apache-2.0
"""What is in a bag: topics, rates, gaps, clocks, cameras and transforms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rosbags.interfaces import Connection

from bev_perception.bags.bag_file import BagFile
from bev_perception.bags.bag_index import BagIndex, message_stamp_ns
from bev_perception.bags.camera_sanity import CameraSummary, summarize_camera
from bev_perception.bags.discovery import CameraTopics
from bev_perception.bags.headers import NANOSECONDS
from bev_perception.geometry import PinholeCamera

GAP_FACTOR = 3.0
"""A gap is told as a problem of a camera when it exceeds this many usual periods."""

CLOCK_TOLERANCE_S = 1.0
"""Stamps farther from the time of recording than this are told as a problem."""


@dataclass(frozen=True)
class TopicSummary:
    """One topic of one type.

    Attributes:
        name, msgtype: of the topic.
        count: messages.
        rate_hz: messages per second between first and last stamp; NaN for fewer than two.
        period_s: median time between messages; NaN for fewer than two.
        largest_gap_s: longest time between messages; NaN for fewer than two.
        first_stamp_ns, last_stamp_ns: by header, by time of recording where there is none;
            None for no messages.
        clock_offset_s: median of time of recording minus header stamp; NaN without headers.
        backward_stamps: how many stamps are earlier than the one before.
    """

    name: str
    msgtype: str
    count: int
    rate_hz: float
    period_s: float
    largest_gap_s: float
    first_stamp_ns: int | None
    last_stamp_ns: int | None
    clock_offset_s: float
    backward_stamps: int


@dataclass(frozen=True)
class BagSummary:
    """A bag at a glance.

    Attributes:
        path: of the bag.
        storage: mcap or sqlite3.
        duration_s: between first and last recording.
        message_count: over all topics.
        topics: by name, in alphabetical order.
        cameras: those found, in rig order.
        tf_edges: (parent, child, is_static, number of samples).
        base_frame: the vehicle frame, None where there is none.
        labels_topic: labelled objects, None where there are none.
        num_labels: label messages.
        problems: what a person should know, one sentence each.
    """

    path: Path
    storage: str
    duration_s: float
    message_count: int
    topics: tuple[TopicSummary, ...]
    cameras: tuple[CameraSummary, ...]
    tf_edges: tuple[tuple[str, str, bool, int], ...]
    base_frame: str | None
    labels_topic: str | None
    num_labels: int
    problems: tuple[str, ...] = ()


def summarize(
    bag: BagFile,
    cameras: Mapping[str, CameraTopics],
    overrides: Mapping[str, PinholeCamera | None],
    index: BagIndex,
    base_frame: str | None,
    labels_topic: str | None,
) -> BagSummary:
    """Reads the whole bag once; decodes only the first image of each camera.

    Args:
        bag: to read.
        cameras: found in it.
        overrides: intrinsics that a rig file gives, by camera.
        index: of the bag.
        base_frame: the vehicle frame, None where there is none.
        labels_topic: topic of labelled objects, None where there is none.

    Raises:
        BagError: the bag is damaged.
    """
    clocks: dict[int, tuple[list[int], list[int]]] = {c.id: ([], []) for c in bag.connections}
    first_images: dict[str, tuple[Connection, bytes]] = {}
    image_topics = {camera.image_topic for camera in cameras.values()}
    for connection, log_ns, raw in bag.messages(bag.connections) if clocks else ():
        stamps, logs = clocks[connection.id]
        stamps.append(message_stamp_ns(bag, connection, log_ns, raw))
        logs.append(log_ns)
        if connection.topic in image_topics:
            first_images.setdefault(connection.topic, (connection, raw))
    topics = tuple(
        sorted((_topic(bag, c, *clocks[c.id]) for c in bag.connections), key=lambda t: t.name)
    )
    camera_summaries = tuple(
        summarize_camera(
            bag, camera, index, first_images.get(camera.image_topic), overrides.get(camera.name)
        )
        for camera in cameras.values()
    )
    first, last = bag.log_range_ns
    problems = [problem for camera in camera_summaries for problem in camera.problems]
    problems += [text for topic in topics for text in _problems(topic, topic.name in image_topics)]
    problems += [*index.refused, *map(str, index.static_changes)]
    if not cameras:
        problems.append("no camera topics were found")
    return BagSummary(
        path=bag.path,
        storage=bag.storage,
        duration_s=(last - first) / NANOSECONDS,
        message_count=sum(topic.count for topic in topics),
        topics=topics,
        cameras=camera_summaries,
        tf_edges=tuple(index.tree.edges()),
        base_frame=base_frame,
        labels_topic=labels_topic,
        num_labels=len(index.labels),
        problems=tuple(problems),
    )


def _topic(
    bag: BagFile, connection: Connection, stamps_ns: list[int], log_times_ns: list[int]
) -> TopicSummary:
    stamps = np.array(stamps_ns, dtype=np.int64)
    nan = float("nan")
    rate = period = gap = offset = nan
    if len(stamps) > 1:
        periods = np.diff(np.sort(stamps)) / NANOSECONDS
        period, gap = float(np.median(periods)), float(periods.max())
        rate = 1.0 / float(periods.mean()) if periods.any() else nan
    if len(stamps) and bag.has_header(connection):
        offset = float(np.median(np.array(log_times_ns, dtype=np.int64) - stamps)) / NANOSECONDS
    return TopicSummary(
        name=connection.topic,
        msgtype=connection.msgtype,
        count=len(stamps),
        rate_hz=rate,
        period_s=period,
        largest_gap_s=gap,
        first_stamp_ns=int(stamps.min()) if len(stamps) else None,
        last_stamp_ns=int(stamps.max()) if len(stamps) else None,
        clock_offset_s=offset,
        backward_stamps=int((np.diff(stamps) < 0).sum()),
    )


def _problems(topic: TopicSummary, is_camera: bool) -> list[str]:
    problems = []
    if is_camera and not topic.count:
        problems.append(f"{topic.name} holds no images")
    if is_camera and topic.largest_gap_s > GAP_FACTOR * topic.period_s:
        problems.append(
            f"{topic.name} pauses for {topic.largest_gap_s:.2f} s; "
            f"usually an image comes every {topic.period_s:.3f} s"
        )
    if is_camera and topic.backward_stamps:
        problems.append(f"{topic.name}: {topic.backward_stamps} stamps go back in time")
    if abs(topic.clock_offset_s) > CLOCK_TOLERANCE_S and is_camera:
        problems.append(
            f"{topic.name}: recorded {topic.clock_offset_s:+.1f} s after its stamps; "
            f"stamps and recorder use different clocks (simulation time?)"
        )
    return problems
