# SPDX-License-Identifier: Apache-2.0
"""Bags: bytes of the storage, metadata.yaml, and messages spoiled inside sound bags."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer

from bev_perception.bags import BagReader, BagWriter
from bev_perception.bags.recorded_bag import RecordedBag
from bev_perception.bags.typestore import bag_typestore
from bev_perception.errors import BevError
from bev_perception.geometry import (
    CameraFrame,
    FrameSet,
    ObjectBox,
    PinholeCamera,
    Rig,
    RigCamera,
    RigidTransform,
)
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.geometry.imu import ImuSample
from fuzzing.mutations import mutated_bytes, mutated_values

SECOND = 1_000_000_000
YAWS = {"front": 0.0, "left": np.pi / 2}


def small_rig() -> Rig:
    """Two cameras of 48 x 32 pixels."""
    camera = PinholeCamera.from_field_of_view(48, 32, 100.0)
    return Rig(
        {
            name: RigCamera(
                camera,
                RigidTransform.from_euler(yaw=yaw, translation=(1.0, 0.0, 1.6)) @ BODY_T_OPTICAL,
                f"{name}_optical_frame",
            )
            for name, yaw in YAWS.items()
        }
    )


def small_bag(path: Path, storage: str = "mcap", compressed: bool = False, jpeg: bool = False,
              count: int = 3) -> None:  # fmt: skip
    """Sets of two cameras with poses, labels, points and an IMU."""
    rig, random_pixels = small_rig(), np.random.default_rng(3)
    car = ObjectBox("car", 7, RigidTransform.from_euler(translation=(10.0, 2.0, 0.7)),
                    np.array([4.5, 1.9, 1.5]))  # fmt: skip
    with BagWriter(path, storage=storage, compressed=compressed) as writer:
        writer.write_rig(rig, 100 * SECOND, others={"imu": RigidTransform.identity()})
        for index in range(count):
            stamp = 100 * SECOND + index * SECOND // 10
            images = {
                name: CameraFrame(
                    name, stamp, random_pixels.integers(0, 256, (32, 48, 3), dtype=np.uint8)
                )
                for name in rig
            }
            pose = RigidTransform.from_euler(yaw=0.05 * index, translation=(index, 0.0, 0.0))
            writer.write_frame_set(FrameSet(stamp, images, (), pose), rig, 90 if jpeg else None)
            writer.write_objects(stamp, [car])
            writer.write_points(stamp, np.array([[10.0, 2.0, 0.5]]))
        stamps = range(100 * SECOND, 101 * SECOND, SECOND // 20)
        upwards = np.array([0.0, 0.0, 9.81])
        writer.write_imu(ImuSample(stamp, "imu", np.zeros(3), upwards) for stamp in stamps)


def read_bag(path: Path, out: Path) -> None:
    """All that commands ask of a bag; one error does not keep the next question from being asked.

    Raises:
        BevError: the bag cannot be opened.
    """
    with BagReader(path) as bag:
        for question in (
            bag.summary,
            bag.rig,
            lambda: list(islice(bag.camera_frames(on_damaged=lambda *_: None), 12)),
            lambda: [bag.object_arrays(stamp) for stamp in bag.label_stamps_ns[:5]],
            lambda: [bag.objects(stamp) for stamp in bag.label_stamps_ns[:2]],
            lambda: [bag.world_T_base(stamp) for stamp in (0, 100 * SECOND, bag.stamp_range_ns[0])],
            lambda: bag.points(100 * SECOND),
            lambda: list(bag.imu_samples(lambda error: None) or ()),
        ):
            with suppress(BevError):
                question()
    with RecordedBag(path) as recorded, suppress(BevError):
        recorded.rig_changes.sentences()
        for image in islice(recorded.recorded_images(), 6):
            recorded.decoded(image)


def _bag(**options: Any) -> Callable[[Path], None]:
    return lambda folder: small_bag(folder / "bag", **options)


def _spoil_storage(folder: Path, rng: random.Random) -> None:
    (storage,) = (path for path in (folder / "bag").iterdir() if path.suffix in (".mcap", ".db3"))
    storage.write_bytes(mutated_bytes(storage.read_bytes(), rng))
    if rng.random() < 0.5:
        (folder / "bag" / "metadata.yaml").unlink()  # the file itself tells then


def _spoil_metadata(folder: Path, rng: random.Random) -> None:
    path = folder / "bag" / "metadata.yaml"
    if rng.random() < 0.3:
        path.write_bytes(mutated_bytes(path.read_bytes(), rng))
    else:
        values = mutated_values(yaml.safe_load(path.read_text()), rng)
        path.write_text(yaml.safe_dump(values))


def _spoil_messages(folder: Path, rng: random.Random) -> None:
    """Sound storage, some messages of one topic spoiled."""
    entries = bag_messages(folder / "bag")
    topic = rng.choice(sorted({connection.topic for connection, _, _ in entries}))
    spoiled = [
        (c, t, mutated_bytes(raw, rng) if c.topic == topic and rng.random() < 0.7 else raw)
        for c, t, raw in entries
    ]
    rewrite_bag(folder, spoiled, {})


def _spoil_definitions(folder: Path, rng: random.Random) -> None:
    """Sound messages under a spoiled definition of their type."""
    entries = bag_messages(folder / "bag")
    kind = rng.choice(sorted({connection.msgtype for connection, _, _ in entries}))
    text = next(c.msgdef.data for c, _, _ in entries if c.msgtype == kind)
    lines = text.split("\n")
    for _ in range(rng.choice((1, 2, 4))):
        place = rng.randrange(len(lines))
        change = rng.random()
        if change < 0.3:
            del lines[place]
            lines = lines or [""]
        elif change < 0.6:
            lines.insert(place, rng.choice(_ODD_FIELDS))
        elif change < 0.8:
            lines[place] = lines[place].replace("float64", "string").replace("uint32", "uint8[]")
        else:
            lines[place] = mutated_bytes(lines[place].encode(), rng).decode("latin-1")
    rewrite_bag(folder, entries, {kind: "\n".join(lines)})


def spoil_bag(folder: Path, rng: random.Random) -> None:
    """Any of these ways."""
    rng.choice((_spoil_storage, _spoil_messages, _spoil_messages, _spoil_definitions))(folder, rng)


_ODD_FIELDS = (
    "string[500000000] names", "geometry_msgs/Point[90000000] points", "float64[2000000000] data",
    "uint8[] data", "float64 def", "string __class__", "uint8 X=99999999999999999999",
    'string S="""\\nimport os\\n"""', "string S='__import__(\"os\")'", "geometry_msgs/Nothing x",
    "std_msgs/Header header", "float64 width", "string<=3 encoding", "wstring w", "float64[<=3] k",
)  # fmt: skip


def bag_messages(bag: Path) -> list[tuple[Connection, int, bytes]]:
    """(connection, time of recording, bytes) of all."""
    source = bag if (bag / "metadata.yaml").exists() else next(bag.glob("*.mcap"))
    with AnyReader([source], default_typestore=bag_typestore()) as reader:
        return [(c, t, bytes(raw)) for c, t, raw in reader.messages()]


def rewrite_bag(
    folder: Path, entries: list[tuple[Connection, int, bytes]], definitions: dict[str, str]
) -> None:
    """Another bag of these messages, types defined otherwise where definitions say so."""
    for path in sorted((folder / "bag").iterdir()):
        path.unlink()
    (folder / "bag").rmdir()
    with Writer(folder / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections: dict[str, Connection] = {}
        for connection, log_ns, raw in entries:
            if connection.topic not in connections:
                kind = connection.msgtype
                connections[connection.topic] = writer.add_connection(
                    connection.topic,
                    kind,
                    msgdef=definitions.get(kind, connection.msgdef.data),
                    rihs01="none",
                )
            writer.write(connections[connection.topic], log_ns, raw)
    (folder / "bag" / "metadata.yaml").unlink()  # its hashes are of the old definitions


def _read(folder: Path, out: Path) -> None:
    read_bag(folder / "bag", out)


TARGETS: dict[str, tuple[Any, ...]] = {
    "mcap": (_bag(), _spoil_storage, _read),
    "mcap_zstd": (_bag(compressed=True), _spoil_storage, _read),
    "sqlite3": (_bag(storage="sqlite3"), _spoil_storage, _read),
    "sqlite3_zstd": (_bag(storage="sqlite3", compressed=True), _spoil_storage, _read),
    "bag_metadata": (_bag(storage="sqlite3"), _spoil_metadata, _read),
    "bag_messages": (_bag(), _spoil_messages, _read),
    "bag_jpegs": (_bag(jpeg=True), _spoil_messages, _read),
    "bag_definitions": (_bag(), _spoil_definitions, _read),
}
