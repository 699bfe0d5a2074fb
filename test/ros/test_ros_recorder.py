# SPDX-License-Identifier: Apache-2.0
"""The recorder: what is published is in the bag, with all that is needed to use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bev_perception.bags import BagReader
from bev_perception.bags.typestore import TF
from bev_perception.geometry import RigidTransform

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

from own_recorder import Recording
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from recorded_messages import left_behind, messages
from ros_processes import wait_for
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability, QosReliability
from std_msgs.msg import String

from bev_perception.ros import recorder as recorder_module
from bev_perception.ros.recording_writer import RecordingLimits

SECOND = 1_000_000_000
BEST_EFFORT = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=50)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


Record = Callable[..., Recording]


@pytest.fixture
def record(ros_environment: Any, tmp_path: Path) -> Iterator[Record]:
    """record(*topics, use_sim_time, storage, compressed, limits): begins to record."""
    made: list[Recording] = []

    def start(*topics: str, **settings: Any) -> Recording:
        made.append(Recording(ros_environment, tmp_path / "recorded", *topics, **settings))
        return made[-1]

    yield start
    for recording in made:
        recording.node.close()


def camera_topics(cameras: Any) -> list[str]:
    """Images, CameraInfo and static transforms of drivers."""
    names = cameras.rig.names
    infos = [f"/camera/{name}/camera_info" for name in names]
    return [*map(cameras.image_topic, names), *infos, "/tf_static"]


def announce(cameras: Any) -> None:
    """Publishers of all topics, before anything is published."""
    from sensor_msgs.msg import CameraInfo, Image

    for name in cameras.rig.names:
        cameras.client.publisher(cameras.image_topic(name), Image, cameras.image_qos)
        cameras.client.publisher(f"/camera/{name}/camera_info", CameraInfo)


def unpadded(data: bytes, length: int) -> bytes:
    """Without the zeros that DDS fills a message up with, to four bytes."""
    assert 0 <= len(data) - length < 4
    assert not any(data[length:])
    return data[:length]


def connections(bag: Path) -> dict[str, Any]:
    """Connections by topic, their definitions read."""
    with AnyReader([bag]) as reader:
        return {connection.topic: connection for connection in reader.connections}


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_every_message_is_recorded_byte_for_byte(record: Record, client: Any, storage: str) -> None:
    reliable = client.publisher("/reliable", String, RELIABLE)
    hasty = client.publisher("/hasty", String, BEST_EFFORT)
    recording = record("/reliable", "/hasty", storage=storage, compressed=True)
    recording.wait_subscribed("/reliable", "/hasty")
    client.wait_matched(reliable)
    client.wait_matched(hasty)
    sent = [String(data=f"message {index} " + "x" * index) for index in range(40)]
    for message in sent:
        reliable.publish(message)
        hasty.publish(message)
    recording.wait_received(80)
    summary = recording.stop()
    assert [(name, count.messages) for name, _, count in summary.topics] == [
        ("/hasty", 40),
        ("/reliable", 40),
    ]
    recorded = messages(recording.bag)
    for topic in ("/reliable", "/hasty"):
        expected = [bytes(serialize_message(message)) for message in sent]
        assert len(recorded[topic]) == len(expected)
        for data, original in zip(recorded[topic], expected):
            assert unpadded(data, len(original)) == original
    found = connections(recording.bag)
    qos = {topic: entry.ext.offered_qos_profiles for topic, entry in found.items()}
    assert [entry.reliability for entry in qos["/reliable"]] == [QosReliability.RELIABLE]
    assert [entry.reliability for entry in qos["/hasty"]] == [QosReliability.BEST_EFFORT]
    assert "string data" in found["/reliable"].msgdef.data
    assert left_behind(recording.bag) == []


def test_metadata_is_that_of_rosbag2(record: Record, cameras: Any) -> None:
    announce(cameras)
    recording = record()
    recording.wait_subscribed(*camera_topics(cameras))
    cameras.wait_matched()
    cameras.publish(SECOND)
    recording.wait_received(9)
    recording.stop()
    path = recording.bag / "metadata.yaml"
    info = yaml.safe_load(path.read_text())["rosbag2_bagfile_information"]
    assert info["version"] == 8
    assert info["relative_file_paths"] == ["recorded_0.mcap"]
    assert info["files"][0]["message_count"] == info["message_count"] == 9
    topics = {
        entry["topic_metadata"]["name"]: entry["topic_metadata"]
        for entry in info["topics_with_message_count"]
    }
    static = topics["/tf_static"]
    assert static["type"] == TF
    assert static["serialization_format"] == "cdr"
    (offered,) = yaml.safe_load(static["offered_qos_profiles"])
    assert offered["durability"] == QosDurability.TRANSIENT_LOCAL.value
    assert offered["lifespan"] == {"sec": 9223372036, "nsec": 854775807}
    published = {
        info.topic_type: str(getattr(info, "topic_type_hash", ""))
        for name in topics
        for info in cameras.client.node.get_publishers_info_by_topic(name)
    }
    for entry in topics.values():
        digest = entry["type_description_hash"]
        assert digest.startswith("RIHS01_")
        if published[entry["type"]]:  # not in Humble
            assert digest.removeprefix("RIHS01_") in published[entry["type"]].lower()


def test_static_transforms_from_before_are_recorded(record: Record, cameras: Any) -> None:
    announce(cameras)
    recording = record("/camera/front/image_raw")
    recording.wait_subscribed("/camera/front/image_raw", "/tf_static")
    cameras.wait_matched(["front"], infos=False)
    cameras.publish(names=["front"])
    recording.wait_received(2)
    recording.stop()
    assert set(messages(recording.bag)) == {"/tf_static", "/camera/front/image_raw"}


def test_every_file_of_a_split_bag_can_be_used_alone(record: Record, cameras: Any) -> None:
    announce(cameras)
    recording = record(limits=RecordingLimits(part_mb=0.1))
    recording.wait_subscribed(*camera_topics(cameras))
    cameras.wait_matched()
    recording.wait_received(1)  # the static transforms, before the first part is full
    for index in range(1, 7):
        cameras.publish(index * SECOND)
    recording.wait_received(49)
    recording.stop()
    files = sorted(recording.bag.glob("*.mcap"))
    assert len(files) >= 3
    images = 0
    for file in files:
        found = messages(file)
        assert len(found["/tf_static"]) == 1
        images += sum(len(data) for topic, data in found.items() if topic.endswith("image_raw"))
    assert images == 24
    with BagReader(recording.bag) as reader:
        assert len(list(reader.camera_frames())) == 24
        assert reader.rig().names == cameras.rig.names


def test_training_reads_a_recorded_drive(record: Record, cameras: Any, tmp_path: Path) -> None:
    from bev_perception.cli.main import main

    announce(cameras)
    cameras.publish_pose(SECOND, RigidTransform.identity())
    recording = record()
    recording.wait_subscribed(*camera_topics(cameras), "/tf")
    cameras.wait_matched()
    for index in range(1, 6):
        cameras.publish_pose(index * SECOND, RigidTransform.identity())
        cameras.publish(index * SECOND)
    recording.wait_received(1 + 5 * 9)
    recording.stop()
    with BagReader(recording.bag) as reader:
        for name in cameras.rig.names:
            assert reader.rig()[name].camera == cameras.rig[name].camera
    out = tmp_path / "inspected"
    assert main(["inspect", str(recording.bag), "--out", str(out)]) == 0
    assert (out / "report.html").is_file()


def test_a_publisher_of_other_quality_that_comes_later_is_recorded(
    record: Record, client: Any
) -> None:
    first = client.publisher("/text", String, RELIABLE)
    recording = record("/text")
    recording.wait_subscribed("/text")
    client.wait_matched(first)
    second = client.node.create_publisher(String, "/text", BEST_EFFORT)
    client.wait_matched(second)  # the recorder asks for less from now on
    client.wait_matched(first)
    first.publish(String(data="reliable"))
    second.publish(String(data="best effort"))
    recording.wait_received(2)
    recording.stop()
    texts = b"".join(messages(recording.bag)["/text"])
    assert b"reliable" in texts
    assert b"best effort" in texts


def test_what_training_misses_is_named(
    record: Record, cameras: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "SETTLING_S", 0.3)
    announce(cameras)
    cameras.client.remove_publisher("/camera/rear/camera_info")
    cameras.without_info = {"rear"}
    recording = record()
    recording.wait_subscribed("/camera/rear/image_raw", "/tf_static")
    wait_for(lambda: recording.warnings, what="a warning")
    cameras.wait_matched(["front", "left", "right"])
    cameras.publish()
    recording.wait_received(8)
    for problems in (recording.warnings, recording.stop().problems):
        said = "\n".join(problems)
        assert "no /tf and no odometry" in said
        assert "no /camera/rear/camera_info" in said
        assert "/camera/front/camera_info" not in said
        assert "no /tf_static" not in said


def test_simulation_time_is_waited_for_and_recorded(
    record: Record, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rosgraph_msgs.msg import Clock
    from tf2_msgs.msg import TFMessage

    monkeypatch.setattr(recorder_module, "CLOCK_PATIENCE_S", 0.3)
    client.publish("/tf_static", TFMessage(), LATCHED)
    text = client.publisher("/text", String, RELIABLE)
    recording = record("/text", use_sim_time=True)
    recording.wait_subscribed("/text", "/tf_static")
    client.wait_matched(text)
    text.publish(String(data="too early"))
    recording.wait_received(2)
    wait_for(lambda: recording.warnings, what="a warning")
    assert "waits for /clock" in recording.warnings[0]
    clock = client.publisher("/clock", Clock, RELIABLE)
    client.wait_matched(clock)
    now = Clock()
    now.clock.sec = 70

    def is_recorded() -> bool:
        now.clock.nanosec += 1000
        clock.publish(now)
        text.publish(String(data="in time"))
        return recording.recorder.state.messages > 5

    wait_for(is_recorded, what="messages in simulated time")
    recording.stop()
    with AnyReader([recording.bag]) as reader:
        entries = [(c.topic, stamp, bytes(data)) for c, stamp, data in reader.messages()]
    assert all(70 * SECOND < stamp < 71 * SECOND for _, stamp, _ in entries)
    assert b"too early" not in b"".join(data for _, _, data in entries)
    assert entries[0][0] == "/tf_static"
