# SPDX-License-Identifier: Apache-2.0
"""A real nuScenes keyframe: its cameras, and LiDAR points inside its annotated boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rosbags.highlevel import AnyReader

from bev_perception.bags import BagReader
from bev_perception.geometry import RigidTransform


def annotated_points(keyframe: Path) -> dict[int, int]:
    """LiDAR points that nuScenes counts in each box, by marker id."""
    with AnyReader([keyframe]) as reader:
        connections = [c for c in reader.connections if c.topic == "/ground_truth/objects"]
        ((connection, _, raw),) = reader.messages(connections)
        markers = reader.deserialize(raw, connection.msgtype).markers
    return {marker.id: int(marker.text.removeprefix("lidar_points=")) for marker in markers}


def test_six_cameras_look_in_six_directions(keyframe: Path) -> None:
    with BagReader(keyframe) as reader:
        rig = reader.rig()
        shapes = {frame.camera: frame.image.shape for frame in reader.camera_frames()}
    assert shapes == dict.fromkeys(rig.names, (900, 1600, 3))
    directions = {}
    for name in rig.names:
        axis = rig[name].base_T_camera.rotate([0.0, 0.0, 1.0])
        directions[name] = np.degrees(np.arctan2(axis[1], axis[0])) % 360
    expected = {
        "front": 0,
        "front_left": 55,
        "back_left": 108,
        "back": 180,
        "back_right": 250,
        "front_right": 304,
    }
    for name, angle in expected.items():
        assert abs((directions[name] - angle + 180) % 360 - 180) < 4.0, name


def test_lidar_points_inside_boxes_are_as_many_as_annotated(keyframe: Path) -> None:
    with BagReader(keyframe) as reader:
        (stamp,) = reader.label_stamps_ns
        boxes, points = reader.objects(stamp), reader.points(stamp)
    assert boxes is not None
    assert points is not None
    annotated = annotated_points(keyframe)

    def counts(moved: RigidTransform) -> np.ndarray:
        return np.array([int(box.contains(moved.apply(points)).sum()) for box in boxes])

    expected = np.array([annotated[box.object_id] for box in boxes])
    assert len(boxes) == 68
    errors = np.abs(counts(RigidTransform.identity()) - expected)
    # 60 boxes agree exactly. Of the other 8, five have the points within 2 cm of a face; a
    # barrier lacks 5 of 50 and a truck 16 of 495, whatever the margin: 984 of 999 in all
    assert (errors == 0).sum() >= 60
    assert (errors <= np.maximum(2, 0.11 * expected)).all()
    assert counts(RigidTransform.identity()).sum() == pytest.approx(expected.sum(), rel=0.02)
    # the comparison tells a shift of 20 cm
    shifted = RigidTransform(np.eye(3), np.array([0.2, 0.0, 0.0]))
    assert (counts(shifted) != expected).sum() > 20


def test_the_pose_in_map_is_known_at_every_camera_stamp(keyframe: Path) -> None:
    with BagReader(keyframe) as reader:
        poses = [reader.world_T_base(frame.stamp_ns) for frame in reader.camera_frames(["front"])]
        assert reader.summary().problems == ()
    assert all(pose is not None for pose in poses)


def test_the_single_storage_file_is_read_like_the_folder(keyframe: Path) -> None:
    with BagReader(keyframe / "nuscenes_keyframe.mcap") as reader:
        assert len(reader.rig()) == 6
        assert len(reader.objects(reader.label_stamps_ns[0]) or ()) == 68
