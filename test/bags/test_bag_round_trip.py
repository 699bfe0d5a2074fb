# SPDX-License-Identifier: Apache-2.0
"""What BagWriter writes, BagReader and plain rosbags read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rosbags.highlevel import AnyReader

from bev_perception.bags import BagReader, BagWriter
from bev_perception.bags.occupancy_grids import grid_from_message
from bev_perception.bags.point_clouds import fields_from_message
from bev_perception.bags.recorded_qos import recorded_qos
from bev_perception.geometry import (
    OBJECT_CLASSES,
    BevGrid,
    BevOutput,
    FrameSet,
    ObjectBox,
    Rig,
    RigidTransform,
)

STORAGES = [("mcap", False), ("mcap", True), ("sqlite3", False), ("sqlite3", True)]

lengths = st.floats(0.1, 20.0)
positions = st.floats(-60.0, 60.0)
angles = st.floats(-3.1, 3.1)
poses = st.builds(
    lambda r, p, y, t: RigidTransform.from_euler(r, p, y, t),
    angles,
    st.floats(-1.5, 1.5),
    angles,
    st.tuples(positions, positions, positions),
)
object_boxes = st.builds(
    ObjectBox,
    label=st.sampled_from([label for label in OBJECT_CLASSES if label != "car"]),
    object_id=st.integers(0, 2**31 - 1),
    pose=poses.filter(lambda pose: np.linalg.norm(pose.translation) > 40.0),
    size=st.tuples(lengths, lengths, lengths).map(np.array),
    velocity=st.tuples(positions, positions, positions).map(np.array),
    visibility=st.floats(0.0, 1.0),
)


@pytest.mark.parametrize(("storage", "compressed"), STORAGES)
def test_images_calibration_and_mounting_come_back_exactly(
    tmp_path: Path, rig: Rig, frame_sets: list[FrameSet], storage: str, compressed: bool
) -> None:
    path = tmp_path / "bag"
    with BagWriter(path, storage, compressed) as writer:
        for frame_set in frame_sets:
            writer.write_frame_set(frame_set, rig)

    with BagReader(path) as reader:
        frames = list(reader.camera_frames())
        read_rig = reader.rig()

    assert read_rig.names == rig.names
    for name in rig.names:
        assert read_rig[name].camera.distortion == rig[name].camera.distortion
        np.testing.assert_array_equal(read_rig[name].camera.matrix, rig[name].camera.matrix)
        assert read_rig[name].base_T_camera.is_close(rig[name].base_T_camera, 1e-12, 1e-7)
        assert read_rig[name].frame_id == rig[name].frame_id
    written = [f for frame_set in frame_sets for f in frame_set.frames.values()]
    assert [(f.camera, f.stamp_ns) for f in frames] == [(f.camera, f.stamp_ns) for f in written]
    for read, original in zip(frames, written):
        np.testing.assert_array_equal(read.image, original.image)


def test_jpeg_images_come_back_alike_and_smooth_ones_almost_equal(
    tmp_path: Path, rig: Rig, frame_sets: list[FrameSet]
) -> None:
    ramp = np.zeros((24, 32, 3), dtype=np.uint8)
    ramp[..., 0] = 200  # red: swapped channels would show
    ramp[..., 2] = np.linspace(20, 60, 32, dtype=np.uint8)
    frame = frame_sets[0].frames["front"]
    red = FrameSet(frame.stamp_ns, {"front": type(frame)("front", frame.stamp_ns, ramp)})
    path = tmp_path / "bag"
    with BagWriter(path) as writer:
        writer.write_frame_set(red, rig, jpeg_quality=95)

    with BagReader(path) as reader:
        (read,) = reader.camera_frames()
        assert reader.camera_topics["front"].image_topic == "/camera/front/image_raw/compressed"
    assert np.abs(read.image.astype(int) - ramp).mean() < 2.0


def test_the_ego_pose_is_interpolated_between_sets_and_unknown_outside(
    drive: Path, frame_sets: list[FrameSet]
) -> None:
    with BagReader(drive) as reader:
        middle = reader.world_T_base(frame_sets[1].stamp_ns + 50_000_000)
        assert reader.world_T_base(frame_sets[0].stamp_ns - 1) is None
        assert reader.base_frame == "base_link"
    expected = RigidTransform.from_euler(yaw=0.075, translation=(1.5, 0.0, 0.0))
    assert middle is not None
    assert middle.is_close(expected, 1e-9, 1e-9)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(written=st.lists(object_boxes, max_size=5, unique_by=lambda b: b.object_id))
def test_objects_come_back(tmp_path_factory: pytest.TempPathFactory, written: list) -> None:
    path = tmp_path_factory.mktemp("objects") / "bag"
    with BagWriter(path) as writer:
        writer.write_objects(1_000, written)

    with BagReader(path) as reader:
        assert reader.label_stamps_ns == [1_000]
        read = reader.objects(1_000)

    assert read is not None
    assert [(b.label, b.object_id) for b in read] == [(b.label, b.object_id) for b in written]
    for one, other in zip(read, written):
        assert one.pose.is_close(other.pose, 1e-9, 1e-6)
        np.testing.assert_allclose(one.size, other.size)
        np.testing.assert_allclose(one.velocity, other.velocity, atol=1e-4)
        assert one.visibility == pytest.approx(other.visibility, abs=1e-4)


def test_a_written_bag_is_plain_rosbag2(drive: Path, frame_sets: list[FrameSet]) -> None:
    with AnyReader([drive]) as reader:
        types = {c.topic: c.msgtype for c in reader.connections}
        first = {}
        for connection, log_ns, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            first.setdefault(connection.topic, (log_ns, message))

    assert types == {
        "/tf": "tf2_msgs/msg/TFMessage",
        "/tf_static": "tf2_msgs/msg/TFMessage",
        "/odom": "nav_msgs/msg/Odometry",
        "/camera/front/image_raw": "sensor_msgs/msg/Image",
        "/camera/front/camera_info": "sensor_msgs/msg/CameraInfo",
        "/camera/left/image_raw": "sensor_msgs/msg/Image",
        "/camera/left/camera_info": "sensor_msgs/msg/CameraInfo",
        "/ground_truth/objects": "visualization_msgs/msg/MarkerArray",
        "/lidar/points": "sensor_msgs/msg/PointCloud2",
    }
    log_ns, image = first["/camera/left/image_raw"]
    assert log_ns == 100 * 10**9 + 3_000_000
    assert (image.header.stamp.sec, image.header.stamp.nanosec) == (100, 3_000_000)
    assert (image.header.frame_id, image.encoding, image.step) == (
        "left_optical_frame",
        "rgb8",
        120,
    )
    np.testing.assert_array_equal(image.data.reshape(20, 40, 3), frame_sets[0].frames["left"].image)
    clear, car, walker = first["/ground_truth/objects"][1].markers
    assert clear.action == 3
    assert (car.ns, car.id, car.type, car.action) == ("car", 7, 1, 0)
    assert car.text == "visibility=0.8300 vx=5.0000 vy=1.0000 vz=0.0000"
    assert walker.text == "vx=0.0000 vy=0.0000 vz=0.0000"


def test_odometry_carries_the_velocity_in_the_vehicle_frame(
    tmp_path: Path,
) -> None:
    turned = RigidTransform.from_euler(yaw=np.pi / 2)
    path = tmp_path / "bag"
    with BagWriter(path) as writer:
        writer.write_pose(10**9, turned)
        writer.write_pose(
            2 * 10**9, RigidTransform.from_euler(yaw=np.pi / 2, translation=(0, 3, 0))
        )
    with AnyReader([path]) as reader:
        connections = [c for c in reader.connections if c.topic == "/odom"]
        twists = [
            reader.deserialize(raw, c.msgtype).twist.twist.linear
            for c, _, raw in reader.messages(connections)
        ]
    assert (twists[0].x, twists[0].y) == (0.0, 0.0)
    assert twists[1].x == pytest.approx(3.0)  # driving north while facing north is forward
    assert twists[1].y == pytest.approx(0.0)


def test_output_is_written_in_grid_order_with_unknown_as_minus_one(tmp_path: Path) -> None:
    grid = BevGrid(-1.0, -2.0, 0.5, 4, 6)
    probability = np.linspace(0.0, 1.0, 24, dtype=np.float32).reshape(grid.shape)
    unknown = np.zeros(grid.shape, dtype=bool)
    unknown[5, 3] = True
    box = ObjectBox(
        "unknown",
        3,
        RigidTransform.from_euler(translation=(1.0, 2.0, 0.5)),
        np.ones(3),
        np.array([4.0, 5.0, 0.0]),
        score=0.75,
    )
    zeros = np.zeros(grid.shape, dtype=np.float32)
    output = BevOutput(
        5 * 10**9, grid, probability, unknown, zeros, np.zeros((2, *grid.shape), np.float32), (box,)
    )
    path = tmp_path / "bag"
    with BagWriter(path) as writer:
        writer.write_output(output, occupancy_threshold=0.6)

    with AnyReader([path]) as reader:
        messages = {c.topic: reader.deserialize(raw, c.msgtype) for c, _, raw in reader.messages()}
    read_grid, occupancy = grid_from_message(messages["/bev/occupancy_grid"], "/bev")
    _, percent = grid_from_message(messages["/bev/probability_grid"], "/bev")
    assert read_grid == grid
    assert occupancy[5, 3] == percent[5, 3] == -1
    known = ~unknown
    np.testing.assert_array_equal(occupancy[known], np.where(probability >= 0.6, 100, 0)[known])
    np.testing.assert_array_equal(percent[known], np.rint(probability * 100)[known])
    # x grows fastest: the second value of the flat message is one cell further forward
    assert messages["/bev/probability_grid"].data[1] == round(float(probability[0, 1]) * 100)
    (center,) = fields_from_message(messages["/bev/centers"], "/bev/centers")
    assert center.tolist() == (1.0, 2.0, 0.5, 0.75, 3, 4.0, 5.0)
    assert messages["/bev/markers"].markers[1].text.endswith("score=0.7500")


def test_a_written_bag_is_in_the_base_frame_asked_for_and_read_back_in_it(
    tmp_path: Path, rig: Rig, frame_sets: list[FrameSet]
) -> None:
    """No reader knows the name chassis: as the only frame that moves it is the vehicle's."""
    pose = RigidTransform.from_euler(translation=(1.0, 2.0, 0.0))
    with BagWriter(tmp_path / "output", base_frame="chassis") as writer:
        writer.write_pose(10**9, pose, "odom")
    with BagReader(tmp_path / "output") as reader:
        assert reader.base_frame == "chassis"
        assert reader.world_frame(10**9) == "odom"
        assert reader.world_T_base(10**9).is_close(pose)
    with BagWriter(tmp_path / "drive", base_frame="chassis") as writer:
        writer.write_frame_set(frame_sets[0], rig)
    with BagReader(tmp_path / "drive") as reader:
        assert {parent for parent, *_ in reader.transform_tree.edges()} == {"map", "chassis"}


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_metadata_are_those_that_every_supported_ros_reads(
    tmp_path: Path, rig: Rig, storage: str
) -> None:
    """rosbag2 of Humble takes QoS as a text that holds YAML with the numbers of rmw's policies."""
    path = tmp_path / "bag"
    with BagWriter(path, storage) as writer:
        writer.write_rig(rig, 5)
        writer.write_pose(7, RigidTransform.identity())
    text = (path / "metadata.yaml").read_text()
    info = yaml.safe_load(text)["rosbag2_bagfile_information"]
    assert info["version"] == 8
    for entry in info["topics_with_message_count"]:
        topic = entry["topic_metadata"]
        assert isinstance(topic["offered_qos_profiles"], str)
        (offered,) = yaml.safe_load(topic["offered_qos_profiles"])
        is_static = topic["name"] == "/tf_static"
        policies = [offered[name] for name in ("history", "reliability", "durability")]
        assert policies == [1, 1, 1 if is_static else 2]
        assert offered["depth"] == (1 if is_static else 10)
    (file,) = (each for each in path.iterdir() if each.suffix in (".mcap", ".db3"))
    for place in (path, file):  # the storage holds the profiles, too
        with AnyReader([place]) as reader:
            found = {c.topic: recorded_qos(c) for c in reader.connections}
        assert [profile.is_latched for profile in found["/tf_static"]] == [True]
        assert [profile.is_latched for profile in found["/tf"]] == [False]


def test_opening_a_bag_makes_no_transform_of_poses_that_nobody_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poses = [RigidTransform.from_euler(yaw=0.1 * k, translation=(k, 0, 0)) for k in range(50)]
    with BagWriter(tmp_path / "bag") as writer:
        for index, pose in enumerate(poses):
            writer.write_pose(index * 10**9, pose)
    made = []
    make = RigidTransform.from_quaternion
    monkeypatch.setattr(RigidTransform, "from_quaternion", lambda *a: made.append(a) or make(*a))
    with BagReader(tmp_path / "bag") as reader:
        assert reader.transform_tree.edges() == [("map", "base_link", False, 50)]
        assert made == []
        assert reader.world_T_base(7 * 10**9).is_close(poses[7])
    assert len(made) == 1


def test_own_output_is_never_taken_for_labels_or_lidar(tmp_path: Path) -> None:
    path = tmp_path / "bag"
    with BagWriter(path) as writer:
        writer.write_objects(1, (), topic="/bev/markers")
        writer.write_points(1, np.zeros((1, 3)), topic="/bev/centers")
    with BagReader(path) as reader:
        assert reader.label_stamps_ns == []
        assert reader.objects(1) is None
        assert reader.points(1) is None


def test_reading_is_fast_enough_for_training(tmp_path: Path) -> None:
    import time

    from bev_perception.geometry import CameraFrame, PinholeCamera, RigCamera

    camera = RigCamera(PinholeCamera.from_field_of_view(672, 448, 100.0), RigidTransform.identity())
    rig = Rig({name: camera for name in ("front", "left", "rear", "right")})
    image = np.zeros((448, 672, 3), dtype=np.uint8)
    path = tmp_path / "bag"
    with BagWriter(path) as writer:
        for index in range(1, 16):
            frames = {name: CameraFrame(name, index, image) for name in rig.names}
            writer.write_frame_set(FrameSet(index, frames), rig)
    rates = []
    with BagReader(path) as reader:
        for _ in range(3):
            begin = time.perf_counter()
            assert sum(1 for _ in reader.camera_frames()) == 60
            rates.append(15 / (time.perf_counter() - begin))
    assert max(rates) >= 100.0
