# SPDX-License-Identifier: Apache-2.0
"""Interface packages that have no wheel are built into the environment and equal the real ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BUILDER = ROOT / "tools" / "make_interfaces.py"

pytestmark = pytest.mark.skipif(
    not Path(sys.prefix, "share", "rosidl_generator_py").is_dir(),
    reason="this environment has no ROS 2 wheels",
)

# As rosidl computes them from the definitions in ros2/geometry2 and ros-perception/vision_msgs;
# of derived_object_msgs from the fields that its releases have had since ROS 1.
REAL_TYPE_HASHES = """
derived_object_msgs/Object e1f0a53586534c782bbb1f46627230ba2e03135a3623c0f6e32ba7f67db35478
derived_object_msgs/ObjectArray 90aaca381d0f1793679b5397bd2cd37a9e83cd980af5f8abb516d7b7da3b3285
tf2_msgs/TF2Error db2485e7d6a0ec75bf087e058ee45df682acc3a621ca7780503d10aac141809a
tf2_msgs/TFMessage e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087
vision_msgs/BoundingBox2D 008eacbb0cf8f26e83795547bed013eec3675485ef386ec056d80eaaf1c1ce2f
vision_msgs/BoundingBox2DArray 2464e82838009386d371b523211c21c91d74d313fcdd6788223c531d621cf691
vision_msgs/BoundingBox3D bbb73a65c163d7f9bb29009c7bde9f7faa576bd2d23299c4511d19230dab4698
vision_msgs/BoundingBox3DArray a81938db9576b10c2eecd7c5a5da3eac496efd00221b25ed051dfbc81fb56da6
vision_msgs/Classification f74db28d0eaef3afb78f48bf2161cd709a1383a0309d3454383b25be11345143
vision_msgs/Detection2D 0d12b69df5c593b3455b7346fac8205437a7d4bcb09b9e0e0b2dde787ded38ea
vision_msgs/Detection2DArray 214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968
vision_msgs/Detection3D ddd703be132ab0b69d33121f1bb034132bfbb3b0ac5f9fb1516005ba1c8a265b
vision_msgs/Detection3DArray 793f5eab9595ac1c0da07873cc859db42eae51f0ee76056db8562515d830e018
vision_msgs/LabelInfo 3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783
vision_msgs/ObjectHypothesis 51da43cec11c01957a64d1e05a24acd18aae7745ec30b74348ad5f6d634f7f90
vision_msgs/ObjectHypothesisWithPose 41c12344c0396c48b81df12467c192d99b2a0eb1463c5c37194e4223251c80bc
vision_msgs/Point2D eab0e83f44ab4de92ceaf76dd7d0e7638f2bdd1d16ffbe16c7a136c48e407247
vision_msgs/Pose2D b0b5d1d7b4c20dd4fcde3ed1d4b289a919290572007d67a97043814db25d3648
vision_msgs/VisionClass 1e4a11f0fed50b5623cb8ff26ca0e37952a48a9c074d16f804b44e9164c2037a
vision_msgs/VisionInfo 95d3116a17484ad91c9a2686e1d54890bbfc3ff6c6a2de137738c4950d45d284
"""  # noqa: E501

PART = """
uint8 SMALL = 1
string WORD = 'a b'
float64[3] corner
int32[<=2] few
string[] names
bool on true
"""
WHOLE = """
std_msgs/Header header
first_msgs/Part[] parts
first_msgs/Part[2] pair
geometry_msgs/Pose pose
"""
ROUND_TRIP = """
from array import array
from rclpy.serialization import deserialize_message, serialize_message
from first_msgs.msg import Part
from second_msgs.msg import Whole

assert (Part.SMALL, Part.WORD, Part().on) == (1, "a b", True)
part = Part(corner=[1.0, 2.0, 3.0], few=array("i", [-4]), names=["front", "left"])
whole = Whole(parts=[part, Part()], pair=[Part(), part])
whole.header.frame_id, whole.pose.orientation.w = "map", 0.5
again = deserialize_message(serialize_message(whole), Whole)
assert again == whole
assert list(again.pair[1].corner) == [1.0, 2.0, 3.0] and again.parts[0].names[1] == "left"
"""
PUBLISH = """
import rclpy
from tf2_msgs.msg import TFMessage
from geometry_msgs.msg import TransformStamped
from vision_msgs.msg import Detection3D, Detection3DArray, ObjectHypothesisWithPose

rclpy.init()
node = rclpy.create_node("source")
hypothesis = ObjectHypothesisWithPose()
hypothesis.hypothesis.class_id, hypothesis.pose.covariance[35] = "car", 2.0
detection = Detection3D(id="7", results=[hypothesis])
detection.bbox.size.x = 4.5
objects = node.create_publisher(Detection3DArray, "objects", 1)
transforms = node.create_publisher(TFMessage, "transforms", 1)
def publish():
    objects.publish(Detection3DArray(detections=[Detection3D(), detection]))
    transforms.publish(TFMessage(transforms=[TransformStamped(child_frame_id="front")]))
node.create_timer(0.05, publish)
try:
    rclpy.spin(node)
except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
    pass
"""
RECEIVE = """
import time
import rclpy
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3DArray

rclpy.init()
node, got = rclpy.create_node("sink"), {}
node.create_subscription(Detection3DArray, "objects", lambda m: got.update(objects=m), 1)
node.create_subscription(TFMessage, "transforms", lambda m: got.update(transforms=m), 1)
end = time.monotonic() + 30
while len(got) < 2 and time.monotonic() < end:
    rclpy.spin_once(node, timeout_sec=0.5)
detection = got["objects"].detections[1]
assert (detection.id, detection.bbox.size.x) == ("7", 4.5)
assert detection.results[0].hypothesis.class_id == "car"
assert detection.results[0].pose.covariance[35] == 2.0
assert got["transforms"].transforms[0].child_frame_id == "front"
for topic in got:
    (publisher,) = node.get_publishers_info_by_topic(topic)
    print(publisher.topic_type.replace("/msg/", "/"), publisher.topic_type_hash)
"""


def real_type_hashes() -> dict[str, str]:
    """Name of a message, as <package>/<Name>, to its type hash."""
    lines = REAL_TYPE_HASHES.split("\n")
    return {name: f"RIHS01_{digest}" for name, digest in (line.split() for line in lines if line)}


def define(folder: Path, **messages: str) -> Path:
    """Writes definitions named <package>__<Name> and returns their folder."""
    for name, text in messages.items():
        package, stem = name.split("__")
        path = folder / package / "msg" / f"{stem}.msg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def build(definitions: Path, prefix: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the builder as the set-up does."""
    prefix.mkdir(exist_ok=True)
    options = ["--definitions", str(definitions), "--prefix", str(prefix)]
    return subprocess.run(
        [sys.executable, str(BUILDER), *options],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def python(code: str, prefix: Path) -> subprocess.CompletedProcess[str]:
    """Runs code that imports what was built into `prefix`."""
    folder = sysconfig.get_path("purelib", vars={"base": str(prefix)})
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": folder},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two packages, one uses the other: the folder of definitions and the prefix."""
    folder = tmp_path_factory.mktemp("interfaces")
    definitions = define(folder / "definitions", second_msgs__Whole=WHOLE, first_msgs__Part=PART)
    result = build(definitions, folder / "prefix")
    assert result.returncode == 0, result.stderr
    return definitions, folder / "prefix"


def test_every_definition_has_the_type_hash_of_the_real_package() -> None:
    found = {}
    for name in real_type_hashes():
        package, stem = name.split("/")
        path = Path(sys.prefix, "share", package, "msg", f"{stem}.json")
        hashes = {item["type_name"]: item for item in json.loads(path.read_text())["type_hashes"]}
        found[name] = hashes[f"{package}/msg/{stem}"]["hash_string"]
    assert found == real_type_hashes()


def test_every_definition_is_built() -> None:
    definitions = (ROOT / "tools" / "interfaces").glob("*/msg/*.msg")
    names = {f"{path.parent.parent.name}/{path.stem}" for path in definitions}
    assert names == set(real_type_hashes())


def test_messages_go_from_process_to_process_with_the_real_type_hashes() -> None:
    environment = {
        **os.environ,
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_DOMAIN_ID": str(os.getpid() % 100 + 1),
    }
    publisher = subprocess.Popen([sys.executable, "-c", PUBLISH], env=environment)
    try:
        received = subprocess.run(
            [sys.executable, "-c", RECEIVE], env=environment, capture_output=True, text=True
        )
    finally:
        publisher.terminate()
        publisher.wait()
    assert received.returncode == 0, received.stderr
    announced = dict(line.split() for line in received.stdout.splitlines())
    expected = real_type_hashes()
    names = ("vision_msgs/Detection3DArray", "tf2_msgs/TFMessage")
    assert announced == {name: expected[name] for name in names}


def test_constants_arrays_and_types_of_other_packages_survive_a_round_trip(
    built: tuple[Path, Path],
) -> None:
    result = python(ROUND_TRIP, built[1])
    assert result.returncode == 0, result.stderr


def test_definitions_and_markers_are_where_ament_index_looks(built: tuple[Path, Path]) -> None:
    index = built[1] / "share" / "ament_index" / "resource_index"
    assert (index / "packages" / "second_msgs").is_file()
    listed = (index / "rosidl_interfaces" / "second_msgs").read_text().split()
    assert listed == ["msg/Whole.idl", "msg/Whole.msg"]
    share = built[1] / "share" / "second_msgs"
    assert (share / "msg" / "Whole.msg").read_text() == WHOLE
    assert "<depend>first_msgs</depend>" in (share / "package.xml").read_text()


def test_a_second_run_changes_nothing(built: tuple[Path, Path]) -> None:
    definitions, prefix = built
    before = {path: path.stat().st_mtime_ns for path in prefix.rglob("*")}
    result = build(definitions, prefix, CC="false", CXX="false")
    assert (result.returncode, result.stderr) == (0, "")
    assert {path: path.stat().st_mtime_ns for path in prefix.rglob("*")} == before


def test_a_failed_build_leaves_the_older_one_and_a_good_one_replaces_it(tmp_path: Path) -> None:
    definitions, prefix = tmp_path / "definitions", tmp_path / "prefix"
    field_names = "from own_msgs.msg import One; print(*One.get_fields_and_field_types())"
    assert build(define(definitions, own_msgs__One="int8 first\n"), prefix).returncode == 0
    define(definitions, own_msgs__One="int8 second\n")
    failed = build(definitions, prefix, CC="false")
    assert failed.returncode == 2
    assert failed.stderr.count("\n") == 1
    assert "false failed" in failed.stderr
    assert python(field_names, prefix).stdout.split() == ["first"]
    assert build(definitions, prefix).returncode == 0
    assert python(field_names, prefix).stdout.split() == ["second"]
    assert [path.name for path in prefix.iterdir() if path.name.startswith(".")] == []


def test_a_missing_compiler_is_named_with_what_to_install(tmp_path: Path) -> None:
    definitions = define(tmp_path / "definitions", own_msgs__One="int8 a\n")
    result = build(definitions, tmp_path / "prefix", CXX="no-such-compiler")
    assert result.returncode == 2
    assert "sudo apt-get install g++" in result.stderr


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ({"own_msgs__One": "absent_msgs/Thing a\n"}, "uses absent_msgs, which is not installed"),
        (
            {"a_msgs__One": "b_msgs/Two b\n", "b_msgs__Two": "a_msgs/One a\n"},
            "a_msgs -> b_msgs -> a_msgs",
        ),
        ({}, "holds no <package>/msg/<Name>.msg"),
    ],
)
def test_definitions_that_cannot_be_built_are_named(
    tmp_path: Path, messages: dict[str, str], complaint: str
) -> None:
    result = build(define(tmp_path / "definitions", **messages), tmp_path / "prefix")
    assert result.returncode == 2
    assert complaint in result.stderr


def test_a_package_that_a_wheel_brings_is_left_as_it_is(tmp_path: Path) -> None:
    definitions = define(tmp_path / "definitions", geometry_msgs__Point="int8 other\n")
    result = build(definitions, tmp_path / "prefix", CC="false")
    assert (result.returncode, result.stderr) == (0, "")
    assert list((tmp_path / "prefix").iterdir()) == []
