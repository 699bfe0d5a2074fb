# SPDX-License-Identifier: Apache-2.0
"""Bags of a short drive, right in every respect; a test spoils messages before they are written."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from bev_perception.bags.bag_parts import join_parts
from bev_perception.bags.camera_info import camera_to_message
from bev_perception.bags.compressed_images import image_to_compressed
from bev_perception.bags.images import image_to_message
from bev_perception.bags.markers import boxes_to_markers
from bev_perception.bags.point_clouds import points_to_message
from bev_perception.bags.poses import transform_from_message, transforms_to_message
from bev_perception.bags.typestore import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    MARKER_ARRAY,
    POINT_CLOUD,
    TF,
    bag_typestore,
)
from bev_perception.geometry import ObjectBox, PinholeCamera, RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL

START, PERIOD = 1_000_000_000, 100_000_000
CAMERA = PinholeCamera.from_field_of_view(96, 64, 100.0)
YAWS = {"front": 0.0, "left": np.pi / 2}
CARS = tuple(
    ObjectBox(
        "car",
        number,
        RigidTransform.from_euler(yaw=0.3 * number, translation=place),
        np.array([4.5, 1.9, 1.6]),
        np.array(velocity),
        visibility=0.9,
    )
    for number, (place, velocity) in enumerate(
        [
            ((9.0, 1.0, 0.8), (1.0, 0.0, 0.0)),
            ((20.0, -3.0, 0.8), (1.0, 0.0, 0.0)),
            ((1.0, 12.0, 0.8), (np.nan,) * 3),
        ]
    )
)
"""Always around the vehicle and all of it seen; of the last one no velocity is known."""


LOWERED = RigidTransform.from_euler(pitch=np.radians(1.0), translation=(0.0, 0.05, 0.0))
"""How a mounting may differ from what was told before."""


class Recorded(NamedTuple):
    """A message before it is written."""

    topic: str
    msgtype: str
    log_ns: int
    message: Any

    @property
    def moment(self) -> int:
        """Number of the set that it was recorded in."""
        return (self.log_ns - START) // PERIOD


Spoil = Callable[[list[Recorded]], list[Recorded]]


def write_drive(
    path: Path,
    num_sets: int = 12,
    jpeg: bool = True,
    spoil: Spoil = lambda messages: messages,
    step_m: float = 0.5,
    storage: str = "mcap",
    compression: str = "",
    files: int = 1,
) -> Path:
    """A drive of two cameras, straight ahead.

    Args:
        path: of the bag.
        num_sets: images of each camera.
        jpeg: or raw images.
        spoil: what becomes of the messages.
        step_m: from set to set.
        storage: ``mcap`` or ``sqlite3``.
        compression: ``file``, ``message`` or ``storage``, by zstd; none by default.
        files: into which the recorder split it, as with ``ros2 bag record -b`` or ``-d``.
    """
    messages = spoil(list(drive_messages(num_sets, jpeg, step_m)))
    if files == 1:
        _write_bag(path, messages, storage, compression)
        return path
    bounds = np.linspace(0, len(messages), files + 1).round().astype(int)
    parts = [path.parent / f"parts_of_{path.name}" / f"{path.name}_{n}" for n in range(files)]
    for part, start, stop in zip(parts, bounds, bounds[1:]):
        part.parent.mkdir(parents=True, exist_ok=True)
        _write_bag(part, messages[start:stop], storage, compression)
    join_parts(parts, path)
    shutil.rmtree(parts[0].parent)
    return path


def _write_bag(path: Path, messages: list[Recorded], storage: str, compression: str) -> None:
    writer = Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()])
    if compression:
        writer.set_compression(CompressionMode[compression.upper()], CompressionFormat.ZSTD)
    store = bag_typestore()
    with writer:
        connections: dict[str, Any] = {}
        for each in messages:
            if each.topic not in connections:
                connections[each.topic] = writer.add_connection(
                    each.topic, each.msgtype, typestore=store
                )
            data = store.serialize_cdr(each.message, each.msgtype)
            writer.write(connections[each.topic], each.log_ns, data)


def drive_messages(num_sets: int, jpeg: bool, step_m: float) -> Iterator[Recorded]:
    """All messages in the order of recording."""
    random = np.random.default_rng(5)
    mounts = [
        ("base_link", f"{name}_optical_frame",
         RigidTransform.from_euler(yaw=yaw, translation=(1.0, 0.0, 1.6)) @ BODY_T_OPTICAL)
        for name, yaw in YAWS.items()
    ]  # fmt: skip
    mounts.append(("base_link", "imu_link", RigidTransform.identity()))
    yield Recorded("/tf_static", TF, START, transforms_to_message(START, mounts))
    for number in range(num_sets):
        stamp = START + number * PERIOD
        pose = RigidTransform.from_euler(translation=(step_m * number, 0.0, 0.0))
        moved = transforms_to_message(stamp, [("map", "base_link", pose)])
        yield Recorded("/tf", TF, stamp, moved)
        markers = boxes_to_markers(stamp, "base_link", CARS)
        yield Recorded("/ground_truth/objects", MARKER_ARRAY, stamp, markers)
        for name in YAWS:
            frame, topic = f"{name}_optical_frame", f"/camera/{name}/image_raw"
            pixels = random.integers(0, 256, (64, 96, 3), dtype=np.uint8)
            if jpeg:
                image = image_to_compressed(pixels, stamp, frame, 90)
                yield Recorded(f"{topic}/compressed", COMPRESSED_IMAGE, stamp, image)
            else:
                yield Recorded(topic, IMAGE, stamp, image_to_message(pixels, stamp, frame, topic))
            info = camera_to_message(CAMERA, stamp, frame)
            yield Recorded(f"/camera/{name}/camera_info", CAMERA_INFO, stamp, info)


def with_clouds(topics: Mapping[str, Sequence[str]]) -> Spoil:
    """Adds point clouds of 50 returns, with fields behind x, y, z; the third set has none."""

    def spoil(messages: list[Recorded]) -> list[Recorded]:
        added = []
        for each in messages:
            added.append(each)
            if each.topic == "/tf" and each.moment != 2:
                for topic, values in topics.items():
                    random = np.random.default_rng([each.moment, len(values)])
                    points = random.uniform(-9, 9, (50, 3 + len(values)))
                    cloud = points_to_message(each.log_ns, "imu_link", points, values)
                    added.append(Recorded(topic, POINT_CLOUD, each.log_ns, cloud))
        return added

    return spoil


def without(topic_part: str, *moments: int) -> Spoil:
    """Leaves out what is on a topic, in some sets or in all."""
    return lambda messages: [
        each
        for each in messages
        if not (topic_part in each.topic and (not moments or each.moment in moments))
    ]


def changed(topic_part: str, change: Callable[[Any], object], *moments: int) -> Spoil:
    """Changes the messages of a topic in some sets."""

    def spoil(messages: list[Recorded]) -> list[Recorded]:
        for each in messages:
            if topic_part in each.topic and each.moment in moments:
                change(each.message)
        return messages

    return spoil


def zoom(message: Any) -> None:
    """Another focal length in a CameraInfo."""
    message.k[0] = 2.0 * message.k[0]


def told_again(change: RigidTransform, frame: str) -> Spoil:
    """From the seventh set on, /tf_static tells a frame's place with a change, before each set."""

    def spoil(messages: list[Recorded]) -> list[Recorded]:
        (first,) = (each.message for each in messages if each.topic == "/tf_static")
        told = {each.child_frame_id: each.transform for each in first.transforms}[frame]
        place = transform_from_message(told) @ change
        found = []
        for each in messages:
            if each.topic == "/tf" and each.moment >= 6:
                message = transforms_to_message(each.log_ns, [("base_link", frame, place)])
                turn = message.transforms[0].transform.rotation
                if each.moment % 2:  # the same rotation
                    turn.x, turn.y, turn.z, turn.w = -turn.x, -turn.y, -turn.z, -turn.w
                found.append(Recorded("/tf_static", TF, each.log_ns, message))
            found.append(each)
        return found

    return spoil
