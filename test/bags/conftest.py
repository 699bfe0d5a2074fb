# SPDX-License-Identifier: Apache-2.0
"""A small rig, sets of its images, and bags made of raw messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from bev_perception.bags import BagWriter
from bev_perception.bags.typestore import bag_typestore
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

SECOND = 1_000_000_000
Messages = Iterable[tuple[str, str, int, Any]]


@pytest.fixture
def rig() -> Rig:
    """Two cameras of different size and lens, looking forward and left."""
    front = PinholeCamera.from_field_of_view(32, 24, 100.0)
    left = PinholeCamera.from_intrinsics(
        40, 20, 21.0, 22.0, 19.0, 10.5, "plumb_bob", (0.1, -0.02, 0.001, 0.002, 0.0)
    )
    mounts = {
        "front": RigidTransform.from_euler(pitch=0.1, translation=(1.5, 0.0, 1.6)),
        "left": RigidTransform.from_euler(yaw=np.pi / 2, translation=(0.5, 0.8, 1.5)),
    }
    return Rig(
        {
            name: RigCamera(camera, mounts[name] @ BODY_T_OPTICAL, f"{name}_optical_frame")
            for name, camera in (("front", front), ("left", left))
        }
    )


@pytest.fixture
def boxes() -> tuple[ObjectBox, ...]:
    """A car that drives, and a pedestrian who stands and is of unknown visibility."""
    car = ObjectBox(
        "car",
        7,
        RigidTransform.from_euler(yaw=0.3, translation=(10.0, 2.0, 0.75)),
        np.array([4.5, 1.9, 1.5]),
        np.array([5.0, 1.0, 0.0]),
        visibility=0.83,
    )
    walker = ObjectBox(
        "pedestrian",
        9,
        RigidTransform.from_euler(yaw=-2.0, translation=(4.0, -3.0, 0.9)),
        np.array([0.6, 0.6, 1.8]),
        np.zeros(3),
    )
    return car, walker


@pytest.fixture
def frame_sets(rig: Rig) -> list[FrameSet]:
    """Five sets at 10 Hz while the vehicle turns left; the left camera is 3 ms late."""
    random = np.random.default_rng(5)
    sets = []
    for index in range(5):
        stamp = 100 * SECOND + index * SECOND // 10
        frames = {}
        for name, delay in (("front", 0), ("left", 3_000_000)):
            camera = rig[name].camera
            image = random.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
            frames[name] = CameraFrame(name, stamp + delay, image)
        pose = RigidTransform.from_euler(yaw=0.05 * index, translation=(1.0 * index, 0.0, 0.0))
        sets.append(FrameSet(stamp, frames, (), pose))
    return sets


@pytest.fixture
def drive(
    tmp_path: Path, rig: Rig, frame_sets: list[FrameSet], boxes: tuple[ObjectBox, ...]
) -> Path:
    """A complete small mcap bag with cameras, poses, labels and points."""
    path = tmp_path / "drive"
    with BagWriter(path) as writer:
        writer.write_rig(rig, frame_sets[0].stamp_ns)
        for frame_set in frame_sets:
            writer.write_frame_set(frame_set, rig)
            writer.write_objects(frame_set.stamp_ns, boxes)
            writer.write_points(frame_set.stamp_ns, np.array([[10.0, 2.0, 0.5]]))
    return path


@pytest.fixture
def raw_bag(tmp_path: Path) -> Callable[..., Path]:
    """Writes (topic, type, stamp, message) with plain rosbags, as a foreign recorder would."""

    def write(messages: Messages, storage: str = "mcap", name: str = "raw") -> Path:
        path = tmp_path / name
        plugin = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}[storage]
        store = bag_typestore()
        with Writer(path, version=9, storage_plugin=plugin) as writer:
            connections = {}
            for topic, msgtype, stamp_ns, message in messages:
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, msgtype, typestore=store)
                writer.write(connections[topic], stamp_ns, store.serialize_cdr(message, msgtype))
        return path

    return write


@pytest.fixture(scope="session")
def keyframe() -> Path:
    """The real nuScenes keyframe, which lies beside a checkout and is never shipped."""
    path = Path(__file__).parents[3] / "shared" / "data" / "nuscenes_keyframe"
    if not path.is_dir():
        pytest.skip("no real keyframe at ../shared/data/nuscenes_keyframe")
    return path
