# SPDX-License-Identifier: Apache-2.0
"""The recorder's parts: what is chosen, how it is asked for, what a slow or full disk does."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bev_perception.bags.raw_topic import RawTopic
from bev_perception.bags.typestore import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    MARKER_ARRAY,
    POINT_CLOUD,
    TF,
)
from bev_perception.errors import ConfigurationError
from bev_perception.resources import config_path

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from recorded_messages import messages

from bev_perception.ros.message_definitions import message_class, message_definition
from bev_perception.ros.qos_profiles import offer_profile, recorded_profile, request_profile
from bev_perception.ros.recording_report import missing_for_training
from bev_perception.ros.recording_writer import RecordingLimits, RecordingWriter
from bev_perception.ros.topic_selection import TopicSelection

TEXT = RawTopic("/text", "std_msgs/msg/String", *message_definition("std_msgs/msg/String"))
BEST_EFFORT = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
LAUNCH_FILE = Path(__file__).parents[2] / "launch" / "record.launch.py"


def test_messages_that_the_disk_is_too_slow_for_are_counted(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "bag", limits=RecordingLimits(buffer_mb=0.001))
    static = RawTopic("/tf_static", TF, *message_definition(TF))
    nothing = b"\x00\x01\x00\x00\x00\x00\x00\x00"
    accepted = [writer.put(TEXT, index, bytes(400)) for index in range(5)]
    assert accepted == [True, True, False, False, False]
    assert writer.put(static, 5, nothing)
    writer.start()
    state = writer.stop()
    assert state.topics["/text"].messages == 2
    assert state.topics["/text"].dropped == 3
    assert len(messages(tmp_path / "bag")["/tf_static"]) == 1


def test_a_full_disk_ends_the_recording_and_keeps_it(tmp_path: Path) -> None:
    free = iter([10**12, 10**6])
    writer = RecordingWriter(tmp_path / "bag", free_bytes=lambda folder: next(free))
    for index in range(30):
        writer.put(TEXT, index, bytes(1_000_000))
    writer.start()
    state = writer.stop()
    assert state.error is not None
    assert "the disk is full (1 MB left)" in str(state.error)
    assert 10 < len(messages(tmp_path / "bag")["/text"]) == state.messages < 30


_QUOTA = """
import sys
from pathlib import Path
from bev_perception.ros.recording_writer import RecordingLimits, RecordingWriter
from bev_perception.ros.message_definitions import message_definition
from bev_perception.bags.raw_topic import RawTopic
kind = "std_msgs/msg/String"
topic = RawTopic("/text", kind, *message_definition(kind))
limits = RecordingLimits(part_mb=float(sys.argv[2]))
writer = RecordingWriter(Path(sys.argv[1]), limits=limits)
for index in range(6):
    writer.put(topic, index, bytes(2_000_000 if index < 4 else 9_000_000))
writer.start()
print(writer.stop().error)
"""


def test_after_a_failed_write_the_complete_files_are_kept(tmp_path: Path) -> None:
    bag = tmp_path / "bag"
    limit = f"ulimit -f 8000; exec {sys.executable} -c '{_QUOTA}' {bag} 3"
    result = subprocess.run(["bash", "-c", limit], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert "File too large" in result.stdout
    assert "are kept" in result.stdout
    assert len(messages(bag)["/text"]) == 4
    assert (tmp_path / "bag.cut_off.mcap").is_file()


@pytest.mark.parametrize(
    "msgtype",
    [IMAGE, CAMERA_INFO, MARKER_ARRAY, "nav_msgs/msg/Goals", "diagnostic_msgs/msg/DiagnosticArray"],
)
def test_definitions_have_the_hash_of_the_installed_type(msgtype: str) -> None:
    text, digest = message_definition(msgtype)
    package, _, name = msgtype.partition("/msg/")
    prefix = Path(message_class(msgtype).__module__.replace(".", "/"))
    assert prefix.parts[0] == package
    described = _type_description(package, name)
    if described is None:
        pytest.skip("this distribution describes no types (before Iron)")
    assert digest == described
    assert text.count("=" * 80) == len(set(text.split("MSG: "))) - 1


def _type_description(package: str, name: str) -> str | None:
    """Hash of an installed type by the file that rosidl installs with it."""
    module = Path(importlib.import_module(package).__file__ or "")
    for parent in module.parents:
        file = parent / "share" / package / "msg" / f"{name}.json"
        if file.is_file():
            hashes = json.loads(file.read_text())["type_hashes"]
            found = {entry["type_name"]: entry["hash_string"] for entry in hashes}
            return str(found[f"{package}/msg/{name}"])
    return None


@pytest.mark.parametrize(
    ("topic", "msgtype", "wanted"),
    [
        ("/camera/front/image_raw", IMAGE, True),
        ("/camera/rear/image_raw/compressed", COMPRESSED_IMAGE, True),
        ("/camera/front/image_raw/compressed", COMPRESSED_IMAGE, False),
        ("/camera/front/depth/image_raw", IMAGE, False),
        ("/camera/front/camera_info", CAMERA_INFO, True),
        ("/ground_truth/objects", MARKER_ARRAY, True),
        ("/bev/markers", MARKER_ARRAY, True),
        ("/ego/bev/latency/engine", "std_msgs/msg/Float32", True),
        ("/roof/grids/objects", "vision_msgs/msg/Detection3DArray", True),
        ("/velodyne_points", POINT_CLOUD, True),
        ("/RADAR_FRONT", POINT_CLOUD, True),
        ("/camera/depth/color/points", POINT_CLOUD, False),
        ("/tf", TF, True),
        ("/tf_static", TF, True),
        ("/chatter", "std_msgs/msg/String", False),
    ],
)
def test_the_default_choice_of_topics(topic: str, msgtype: str, wanted: bool) -> None:
    published = {"/camera/front/image_raw", "/roof/grids/probability_grid"}
    assert TopicSelection().wants(topic, msgtype, published) is wanted


def test_all_topics_but_hidden_and_excluded_ones() -> None:
    selection = TopicSelection(everything=True, exclude="debug|tf")
    assert selection.wants("/chatter", "std_msgs/msg/String", ())
    assert not selection.wants("/action/_action/status", "std_msgs/msg/String", ())
    assert not selection.wants("/bev/debug/latency", "std_msgs/msg/Float32", ())
    assert not selection.wants("/tf", TF, ())
    assert selection.wants("/tf_static", TF, ())


def test_a_bad_expression_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no regular expression"):
        TopicSelection(exclude="(")


def test_a_complete_choice_misses_nothing() -> None:
    topics = {
        "/camera/front/image_raw/compressed": COMPRESSED_IMAGE,
        "/camera/front/camera_info": CAMERA_INFO,
        "/tf": TF,
        "/tf_static": TF,
    }
    assert missing_for_training(topics) == []
    assert len(missing_for_training({})) == 3


def test_qos_overrides_are_profiles() -> None:
    entries = yaml.safe_load(config_path("record_qos.yaml").read_text())
    kinds = {
        "history": HistoryPolicy,
        "reliability": ReliabilityPolicy,
        "durability": DurabilityPolicy,
    }
    for topic, entry in entries.items():
        values = {key: kinds[key].get_from_short_key(entry.pop(key)) for key in kinds}
        profile = QoSProfile(depth=entry.pop("depth"), **values)
        assert entry == {}
        latched = profile.durability is DurabilityPolicy.TRANSIENT_LOCAL
        assert latched == (topic == "/tf_static")


def test_profiles_that_publishers_offer_are_asked_for() -> None:
    weak, strong = recorded_profile(BEST_EFFORT), recorded_profile(LATCHED)
    assert strong.is_latched
    request = request_profile([weak, strong], 5)
    assert request.reliability is ReliabilityPolicy.BEST_EFFORT
    assert request.durability is DurabilityPolicy.VOLATILE
    offer = offer_profile([weak, strong])
    assert offer.reliability is ReliabilityPolicy.RELIABLE
    assert offer.durability is DurabilityPolicy.TRANSIENT_LOCAL
    assert offer_profile([strong]).depth == 1


@pytest.fixture
def launch_file() -> Any:
    """The launch file as a module."""
    pytest.importorskip("launch.actions", reason="ROS 2 launch is not installed: it is no wheel")
    spec = importlib.util.spec_from_file_location("record_launch", LAUNCH_FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_launch_file_records_what_the_default_choice_records(launch_file: Any) -> None:
    given = {name: default for name, (default, _) in launch_file.ARGUMENTS.items()}
    given["extra_topics"] = "/lidar/points"
    line = launch_file.command(given)
    wanted = re.compile(line[line.index("--regex") + 1])
    for topic in ("/camera/rear/image_raw", "/camera/rear/camera_info", "/tf", "/tf_static"):
        assert wanted.search(topic)
    assert wanted.search("/bev/occupancy_grid")
    assert wanted.search("/lidar/points")
    assert not wanted.search("/camera/rear/image_raw/compressed")
    assert not wanted.search("/rosout")
    assert line[line.index("--storage-preset-profile") + 1] == "zstd_fast"


def test_the_launch_file_asks_for_images_of_any_name_as_for_the_usual_ones(
    launch_file: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(launch_file.launch_config, "log_dir", str(tmp_path))
    given = {name: default for name, (default, _) in launch_file.ARGUMENTS.items()}
    assert launch_file.qos_overrides(given) == str(config_path("record_qos.yaml"))
    others = {**given, "image_topic": "/sensing/{camera}/image", "image_transport": "both"}
    asked = yaml.safe_load(Path(launch_file.qos_overrides(others)).read_text())
    usual = yaml.safe_load(config_path("record_qos.yaml").read_text())
    for suffix in ("", "/compressed"):
        wanted = usual[f"/camera/rear/image_raw{suffix}"]
        assert asked[f"/sensing/rear/image{suffix}"] == wanted
    assert asked.items() >= usual.items()
    own = {**others, "qos_overrides": "mine.yaml"}
    assert launch_file.qos_overrides(own) == "mine.yaml"


@pytest.mark.parametrize(
    ("argument", "value"),
    [("extra_topics", "/a b"), ("max_size_mb", "-1"), ("image_transport", "h264"), ("cameras", "")],
)
def test_the_launch_file_refuses(launch_file: Any, argument: str, value: str) -> None:
    given = {name: default for name, (default, _) in launch_file.ARGUMENTS.items()}
    with pytest.raises(ConfigurationError, match=argument if argument != "extra_topics" else "a b"):
        launch_file.command({**given, argument: value})
