# SPDX-License-Identifier: Apache-2.0
"""The town node: a vehicle's topics, the bytes of a recorded drive, in step with its listeners."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")
pytest.importorskip("moderngl", reason="the town needs moderngl")

from rosbags.rosbag2 import Reader

from bev_perception.cli.town_recording import TownJob, record_town

NODE = "bev_perception.ros.simulation_node"
TRUTH = "/ground_truth/objects"
TOWN, NUM_SETS, PERIOD_NS, FIRST_NS = 11_007, 3, 250_000_000, 1_000_000_000
CAMERAS = ("front", "left")
LENS = "width: 168, height: 112, horizontal_fov_deg: 100"
RIG = f"""
cameras:
  front: {{{LENS}, position: [1.9, 0, 1.6], rpy_deg: [0, 5, 0]}}
  left: {{{LENS}, position: [1.2, 0.8, 1.6], rpy_deg: [0, 5, 90]}}
"""


@pytest.fixture(scope="module")
def rig_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rig") / "two_cameras.yaml"
    path.write_text(RIG)
    return path


@pytest.fixture
def town(ros_process, rig_file):
    """town(**parameters): the node, by default for NUM_SETS sets as fast as it can."""

    def start(environment: dict[str, str] | None = None, **parameters: Any):
        values = {
            "town": TOWN,
            "rate_hz": 1e9 / PERIOD_NS,
            "rig_file": str(rig_file),
            "num_sets": NUM_SETS,
            "max_real_time_factor": 0.0,
            **parameters,
        }
        return ros_process(NODE, parameters=values, environment=environment)

    return start


@dataclass(frozen=True)
class Arrival:
    """A serialized message, and when it was sent, nanoseconds of the system's clock."""

    raw: bytes
    sent_ns: int

    @property
    def stamp_ns(self) -> int:
        """Of the leading header."""
        from bev_perception.bags.headers import raw_stamp_ns

        return raw_stamp_ns(self.raw)


class Arrivals(list[Arrival]):
    """Messages of a topic, in order."""

    def __init__(self, topic: str, wait_until: Callable[..., Any]) -> None:
        super().__init__()
        self.topic = topic
        self._wait_until = wait_until

    def wait(self, count: int) -> Arrivals:
        """Once there are at least count."""
        self._wait_until(lambda: len(self) >= count, what=f"{count} messages on {self.topic}")
        return self

    def wait_for_stamp(self, stamp_ns: int) -> Arrivals:
        """Once there is one of that stamp."""
        self._wait_until(
            lambda: any(entry.stamp_ns == stamp_ns for entry in list(self)),
            what=f"{stamp_ns} ns on {self.topic}",
        )
        return self


def message_types(compressed: bool = False) -> dict[str, Any]:
    """Every topic of a drive of the two cameras."""
    from nav_msgs.msg import Odometry
    from sensor_msgs.msg import CameraInfo, CompressedImage, Image
    from tf2_msgs.msg import TFMessage
    from visualization_msgs.msg import MarkerArray

    image = ("image_raw/compressed", CompressedImage) if compressed else ("image_raw", Image)
    cameras = {
        f"/camera/{name}/{topic}": kind
        for name in CAMERAS
        for topic, kind in (image, ("camera_info", CameraInfo))
    }
    others = {"/tf": TFMessage, "/tf_static": TFMessage, "/odom": Odometry}
    return {**cameras, **others, TRUTH: MarkerArray}


@pytest.fixture
def collect(client, wait_until) -> Callable[[dict[str, Any]], dict[str, Arrivals]]:
    """Subscribes to topics as a recorder does."""
    from rclpy.qos import DurabilityPolicy, QoSProfile

    def subscribe(topics: dict[str, Any]) -> dict[str, Arrivals]:
        arrived = {topic: Arrivals(topic, wait_until) for topic in topics}

        def keep(topic: str) -> Callable[[bytes, dict[str, int]], None]:
            return lambda raw, info: arrived[topic].append(
                Arrival(bytes(raw), info["source_timestamp"])
            )

        for topic, kind in topics.items():
            qos = QoSProfile(depth=100)
            if topic == "/tf_static":
                qos.durability = DurabilityPolicy.TRANSIENT_LOCAL
            client.node.create_subscription(kind, topic, keep(topic), qos, raw=True)
        return arrived

    return subscribe


@pytest.mark.parametrize("jpeg_quality", [0, 90])
def test_a_recorded_live_drive_is_byte_for_byte_what_bev_simulate_writes(
    town, collect, rig_file, tmp_path, jpeg_quality
):
    topics = message_types(compressed=jpeg_quality > 0)
    arrived = collect(topics)
    node = town(
        jpeg_quality=jpeg_quality,
        wait_for_subscribers=1,
        wait_for_subscribers_on=["/tf", "/tf_static", "/odom", TRUTH],
    )
    assert node.wait() == 0
    record_town(
        TownJob(TOWN, tmp_path / "bag", rig_file, NUM_SETS, 1e9 / PERIOD_NS, jpeg_quality or None)
    )
    with Reader(tmp_path / "bag") as reader:
        recorded: dict[str, list[bytes]] = {topic: [] for topic in topics}
        for connection, _, raw in reader.messages():
            recorded[connection.topic].append(bytes(raw))
    for topic, messages in recorded.items():
        live = arrived[topic].wait(len(messages))
        assert [_padded(entry.raw) for entry in live] == list(map(_padded, messages)), topic


def _padded(raw: bytes) -> bytes:
    """Serializers differ in the zeros after the end."""
    return raw + bytes(-len(raw) % 4)


def test_clock_pose_and_truth_of_a_set_are_sent_before_the_images_of_their_stamp(town, collect):
    from rosgraph_msgs.msg import Clock

    arrived = collect({**message_types(), "/clock": Clock})
    node = town(
        wait_for_subscribers=1,
        wait_for_subscribers_on=["/clock", "/tf", "/odom", TRUTH],
    )
    assert node.wait() == 0
    stamps = [FIRST_NS + number * PERIOD_NS for number in range(NUM_SETS)]
    # A Clock message is its time alone, where others have their header's stamp.
    clock = arrived["/clock"].wait_for_stamp(stamps[-1])
    assert list(dict.fromkeys(entry.stamp_ns for entry in clock)) == stamps
    images = [arrived[f"/camera/{name}/image_raw"].wait(NUM_SETS) for name in CAMERAS]
    earlier = [arrived[topic].wait(NUM_SETS) for topic in ("/tf", "/odom", TRUTH)]
    for number, stamp_ns in enumerate(stamps):
        first_image_ns = min(arrivals[number].sent_ns for arrivals in images)
        assert min(e.sent_ns for e in clock if e.stamp_ns == stamp_ns) < first_image_ns
        for arrivals in earlier:
            assert arrivals[number].sent_ns < first_image_ns, arrivals.topic


def test_nothing_is_driven_before_every_camera_has_its_subscribers(town, collect):
    topics = message_types()
    first = collect(topics)
    node = town(wait_for_subscribers=2)
    node.wait_for_log("town 11007: cameras front, left")
    assert not first["/camera/front/image_raw"]
    second = collect(topics)
    assert node.wait() == 0
    for arrived in (first, second):
        images = arrived["/camera/left/image_raw"].wait(NUM_SETS)
        assert images[0].stamp_ns == FIRST_NS


def test_the_next_set_waits_for_the_output_of_the_last_one(town, client, collect):
    from nav_msgs.msg import OccupancyGrid

    topic = f"/camera/{CAMERAS[-1]}/image_raw"
    arrived = collect(message_types())[topic]
    node = town(
        wait_for_topic="/bev/occupancy_grid", wait_for_subscribers=1, lockstep_timeout_s=60.0
    )
    outputs = client.publisher("/bev/occupancy_grid", OccupancyGrid)
    client.wait_matched(outputs)
    answered_ns = []
    for number in range(NUM_SETS):
        arrived.wait(number + 1)
        output = OccupancyGrid()
        # Of another stamp: must not release the next set.
        outputs.publish(output)
        client.call("/town/describe_parameters", *_describe("town"))
        answered_ns.append(time.time_ns())
        stamp = output.header.stamp
        stamp.sec, stamp.nanosec = divmod(arrived[number].stamp_ns, 1_000_000_000)
        outputs.publish(output)
    assert node.wait() == 0
    assert all(entry.sent_ns > ns for entry, ns in zip(arrived[1:], answered_ns))
    node.wait_for_log(rf"drove {NUM_SETS} sets in .* 0 without an output on /bev/occupancy_grid")


def test_outputs_that_do_not_come_are_waited_for_counted_and_told(town, collect):
    topic = f"/camera/{CAMERAS[-1]}/image_raw"
    arrived = collect(message_types())[topic]
    node = town(
        wait_for_topic="/bev/occupancy_grid", wait_for_subscribers=1, lockstep_timeout_s=0.2
    )
    assert node.wait() == 0
    arrived.wait(NUM_SETS)
    gaps = [after.sent_ns - before.sent_ns for before, after in pairwise(arrived)]
    assert min(gaps) >= 200_000_000
    assert "for the set at 1.250 s within 0.2 s; going on without it, 2 so far" in node.log
    node.wait_for_log(rf"{NUM_SETS} without an output")


def test_the_drive_is_held_to_real_time(town, collect):
    arrived = collect(message_types())["/camera/front/image_raw"]
    assert town(max_real_time_factor=1.0, wait_for_subscribers=1).wait() == 0
    arrived.wait(NUM_SETS)
    elapsed_ns = arrived[-1].sent_ns - arrived[0].sent_ns
    assert elapsed_ns >= (NUM_SETS - 1) * PERIOD_NS - 20_000_000


def test_time_stands_still_while_paused_and_goes_on_after(town, client, collect):
    from rosgraph_msgs.msg import Clock

    arrived = collect({**message_types(), "/clock": Clock})
    node = town(paused=True, wait_for_subscribers=1)
    arrived["/clock"].wait(5)
    assert {entry.stamp_ns for entry in arrived["/clock"]} == {FIRST_NS}
    assert not arrived["/camera/front/image_raw"]
    assert [result.successful for result in client.set_parameters("/town", paused=False)] == [True]
    assert node.wait() == 0
    assert arrived["/camera/front/image_raw"].wait(NUM_SETS)[0].stamp_ns == FIRST_NS


@pytest.mark.parametrize("waiting", [True, False])
def test_ctrl_c_ends_it_cleanly(town, waiting):
    node = town(num_sets=0, wait_for_subscribers=100 if waiting else 0)
    node.wait_for_log("town 11007")
    assert node.stop() == 0
    assert "Traceback" not in node.log


def test_every_parameter_is_described_and_fixed_but_the_pause(town, client):
    from rcl_interfaces.srv import ListParameters

    town(num_sets=0, wait_for_subscribers=100).wait_for_log("town 11007")
    names = [
        name
        for name in client.call(
            "/town/list_parameters", ListParameters, ListParameters.Request()
        ).result.names
        if not re.match(r"qos_overrides|use_sim_time|start_type", name)
    ]
    assert {"town", "rate_hz", "wait_for_topic", "jpeg_quality"} <= set(names)
    for entry in client.call("/town/describe_parameters", *_describe(*names)).descriptors:
        assert len(entry.description) > 20, entry.name
        assert entry.read_only == (entry.name != "paused")


@pytest.mark.parametrize(
    ("parameters", "environment", "expected"),
    [
        ({"rate_hz": 300.0}, {}, "rate_hz .* 0.1"),
        ({"weather": "snow"}, {}, "weather .*'snow' is none of .*'fog'"),
        ({"rig_file": "/nowhere.yaml"}, {}, "/nowhere.yaml"),
        ({"wait_for_subscribers_on": ["/odm"]}, {}, "/odm; it publishes .*/odom"),
        ({}, {"__EGL_VENDOR_LIBRARY_FILENAMES": "/nowhere.json"}, "install libegl1"),
    ],
    ids=["range", "choice", "rig file", "topic", "no EGL"],
)
def test_what_cannot_work_is_one_line_and_exit_code_2(town, parameters, environment, expected):
    node = town(environment=environment, **parameters)
    assert node.wait() == 2
    errors = [line for line in node.log.splitlines() if line.startswith("simulation_node: error:")]
    assert len(errors) == 1, node.log
    assert re.search(expected, errors[0])
    assert "Traceback" not in node.log


def _describe(*names: str) -> tuple[Any, Any]:
    from rcl_interfaces.srv import DescribeParameters

    return DescribeParameters, DescribeParameters.Request(names=list(names))
