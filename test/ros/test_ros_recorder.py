# SPDX-License-Identifier: Apache-2.0
"""bev record: what is published is in the bag, with all that is needed to use it."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosReliability

from bev_perception.bags import BagReader
from bev_perception.bags.typestore import IMAGE, TF
from bev_perception.geometry import RigidTransform

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from std_msgs.msg import String

from bev_perception.ros.message_definitions import message_class

SECOND = 1_000_000_000
BEST_EFFORT = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=50)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)

Record = Callable[..., Any]


@pytest.fixture
def record(ros_process: Any, tmp_path: Path) -> Record:
    """record(*arguments): a recorder that looks for topics; its bag is at .bag."""

    def start(*arguments: object, ready: str | None = "recording to") -> Any:
        bag = tmp_path / "recorded"
        command = ("record", "--out", bag, *arguments)
        process = ros_process("bev_perception.cli.main", *command, ready=ready)
        process.bag = bag
        return process

    return start


def messages(bag: Path) -> dict[str, list[bytes]]:
    """Raw messages by topic, in order."""
    found: dict[str, list[bytes]] = {}
    with AnyReader([bag]) as reader:
        for connection, _, data in reader.messages():
            found.setdefault(connection.topic, []).append(bytes(data))
    return found


def arrived(client: Any) -> None:
    """Waits until the recorder has everything that was published reliably."""
    for publisher in client.node.publishers:
        assert publisher.wait_for_all_acked(Duration(seconds=10))


def unpadded(data: bytes, length: int) -> bytes:
    """Without the zeros that DDS fills a message up with, to four bytes."""
    assert 0 <= len(data) - length < 4
    assert not any(data[length:])
    return data[:length]


def connections(bag: Path) -> dict[str, Any]:
    """Connections by topic, their definitions read."""
    with AnyReader([bag]) as reader:
        return {connection.topic: connection for connection in reader.connections}


def left_behind(bag: Path) -> list[str]:
    """Files beside the bag that a recorder should have removed."""
    return [entry.name for entry in bag.parent.iterdir() if bag.name in entry.name and entry != bag]


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_every_message_is_recorded_byte_for_byte(record: Record, client: Any, storage: str) -> None:
    reliable = client.publisher("/reliable", String, RELIABLE)
    hasty = client.publisher("/hasty", String, BEST_EFFORT)
    recorder = record("/reliable", "/hasty", "--storage", storage, "--compressed")
    client.wait_matched(reliable)
    client.wait_matched(hasty)
    sent = [String(data=f"message {index} " + "x" * index) for index in range(40)]
    for message in sent:
        reliable.publish(message)
        hasty.publish(message)
    arrived(client)
    assert recorder.stop() == 0
    recorded = messages(recorder.bag)
    for topic in ("/reliable", "/hasty"):
        expected = [bytes(serialize_message(message)) for message in sent]
        assert len(recorded[topic]) == len(expected)
        for data, original in zip(recorded[topic], expected):
            assert unpadded(data, len(original)) == original
    found = connections(recorder.bag)
    qos = {topic: entry.ext.offered_qos_profiles for topic, entry in found.items()}
    assert [entry.reliability for entry in qos["/reliable"]] == [QosReliability.RELIABLE]
    assert [entry.reliability for entry in qos["/hasty"]] == [QosReliability.BEST_EFFORT]
    assert "string data" in found["/reliable"].msgdef.data
    assert left_behind(recorder.bag) == []
    assert re.search(r"/hasty +40 ", recorder.log)


def test_metadata_is_that_of_rosbag2(record: Record, cameras: Any) -> None:
    recorder = record()
    cameras.wait_matched()
    cameras.publish(SECOND)
    arrived(cameras.client)
    assert recorder.stop() == 0
    path = recorder.bag / "metadata.yaml"
    info = yaml.safe_load(path.read_text())["rosbag2_bagfile_information"]
    assert info["version"] == 9
    assert info["relative_file_paths"] == ["recorded_0.mcap"]
    assert info["files"][0]["message_count"] == info["message_count"] == 9
    topics = {
        entry["topic_metadata"]["name"]: entry["topic_metadata"]
        for entry in info["topics_with_message_count"]
    }
    static = topics["/tf_static"]
    assert static["type"] == TF
    assert static["serialization_format"] == "cdr"
    assert static["offered_qos_profiles"][0]["durability"] == "transient_local"
    forever = {"sec": 9223372036, "nsec": 854775807}
    assert static["offered_qos_profiles"][0]["lifespan"] == forever
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
    recorder = record("/camera/front/image_raw")
    image = cameras.client.publisher("/camera/front/image_raw", message_class(IMAGE))
    cameras.client.wait_matched(image)
    cameras.publish(names=["front"])
    arrived(cameras.client)
    assert recorder.stop() == 0
    assert set(messages(recorder.bag)) == {"/tf_static", "/camera/front/image_raw"}


def test_every_file_of_a_split_bag_can_be_used_alone(record: Record, cameras: Any) -> None:
    recorder = record("--max-size", "0.1")
    cameras.wait_matched()
    for index in range(1, 7):
        cameras.publish(index * SECOND)
    arrived(cameras.client)
    assert recorder.stop() == 0
    files = sorted(recorder.bag.glob("*.mcap"))
    assert len(files) >= 3
    images = 0
    for file in files:
        found = messages(file)
        assert len(found["/tf_static"]) == 1
        images += sum(len(data) for topic, data in found.items() if topic.endswith("image_raw"))
    assert images == 24
    with BagReader(recorder.bag) as reader:
        assert len(list(reader.camera_frames())) == 24
        assert reader.rig().names == cameras.rig.names


def test_training_reads_a_recorded_drive(record: Record, cameras: Any, tmp_path: Path) -> None:
    from bev_perception.cli.main import main

    recorder = record()
    cameras.wait_matched()
    cameras.publish_pose(SECOND, RigidTransform.identity())
    cameras.client.wait_matched(cameras.client.publisher("/tf", message_class(TF)))
    for index in range(1, 6):
        cameras.publish_pose(index * SECOND, RigidTransform.identity())
        cameras.publish(index * SECOND)
    arrived(cameras.client)
    assert recorder.stop() == 0
    with BagReader(recorder.bag) as reader:
        for name in cameras.rig.names:
            assert reader.rig()[name].camera == cameras.rig[name].camera
    out = tmp_path / "inspected"
    assert main(["inspect", str(recorder.bag), "--out", str(out)]) == 0
    assert (out / "report.html").is_file()


def test_a_publisher_of_other_quality_that_comes_later_is_recorded(
    record: Record, client: Any, wait_until: Callable[..., Any]
) -> None:
    first = client.publisher("/text", String, RELIABLE)
    recorder = record("/text")
    client.wait_matched(first)
    second = client.node.create_publisher(String, "/text", BEST_EFFORT)
    client.wait_matched(second)
    client.wait_matched(first)
    first.publish(String(data="reliable"))
    second.publish(String(data="best effort"))
    arrived(client)
    assert recorder.stop() == 0
    texts = b"".join(messages(recorder.bag)["/text"])
    assert b"reliable" in texts
    assert b"best effort" in texts


def test_what_training_misses_is_named(record: Record, cameras: Any) -> None:
    cameras.without_info = {"rear"}
    recorder = record()
    names = ["front", "left", "right"]
    cameras.wait_matched(names)
    rear = cameras.client.publisher("/camera/rear/image_raw", message_class(IMAGE))
    cameras.client.wait_matched(rear)
    cameras.publish()
    recorder.wait_for_log("warning: no /tf and no odometry")
    assert recorder.stop() == 0
    last = recorder.log.rpartition("recorded: ")[2]
    assert "no /camera/rear/camera_info" in last
    assert "/camera/front/camera_info" not in last
    assert "no /tf_static" not in last


def test_simulation_time_is_waited_for_and_recorded(record: Record, client: Any) -> None:
    from rosgraph_msgs.msg import Clock
    from tf2_msgs.msg import TFMessage

    client.publish("/tf_static", TFMessage(), LATCHED)
    text = client.publisher("/text", String, RELIABLE)
    clock = client.publisher("/clock", Clock, RELIABLE)
    recorder = record("/text", "--use-sim-time")
    client.wait_matched(text)
    text.publish(String(data="too early"))
    recorder.wait_for_log("waits for /clock")
    client.wait_matched(clock)
    message = Clock()
    message.clock.sec = 70
    for index in range(20):
        message.clock.nanosec = index * 1000
        clock.publish(message)
        text.publish(String(data="in time"))
    arrived(client)
    assert recorder.stop() == 0
    with AnyReader([recorder.bag]) as reader:
        entries = [(c.topic, stamp, bytes(data)) for c, stamp, data in reader.messages()]
    assert all(70 * SECOND <= stamp < 71 * SECOND for _, stamp, _ in entries)
    assert b"too early" not in b"".join(data for _, _, data in entries)
    assert entries[0][0] == "/tf_static"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_completes_the_bag(record: Record, client: Any, number: signal.Signals) -> None:
    text = client.publisher("/text", String, RELIABLE)
    recorder = record("/text", "/never", "--max-size", "1")
    client.wait_matched(text)
    for index in range(5):
        text.publish(String(data=str(index)))
    arrived(client)
    assert recorder.stop(number) == 0
    assert len(messages(recorder.bag)["/text"]) == 5
    assert "nobody publishes /never" in recorder.log


def test_interrupted_while_it_starts_it_leaves_nothing(record: Record) -> None:
    recorder = record(ready=None)
    assert recorder.stop() != 0
    assert not recorder.bag.exists()
    assert left_behind(recorder.bag) == []


def test_nothing_recorded_is_an_error_with_its_reason(record: Record) -> None:
    recorder = record("/text")
    assert recorder.stop() == 2
    assert "nothing was recorded: none of the topics is published" in recorder.log
    assert not recorder.bag.exists()


def test_the_end_after_a_duration(record: Record, client: Any) -> None:
    text = client.publisher("/text", String, RELIABLE)
    recorder = record("/text", "--duration", "0.3")
    client.wait_matched(text)
    text.publish(String(data="one"))
    assert recorder.wait() == 0
    assert len(messages(recorder.bag)["/text"]) == 1


def test_an_existing_bag_is_not_touched(record: Record, tmp_path: Path) -> None:
    (tmp_path / "recorded").mkdir()
    recorder = record(ready=None)
    assert recorder.wait() == 2
    assert "exists already" in recorder.log
