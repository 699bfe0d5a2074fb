# SPDX-License-Identifier: Apache-2.0
"""The town node's drives: the bytes of a recorded drive, in step with their listeners."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")
pytest.importorskip("moderngl", reason="the town needs moderngl")

from ros_client import Client
from rosbags.rosbag2 import Reader
from town_node import (
    CAMERAS,
    FIRST_NS,
    NUM_SETS,
    PERIOD_NS,
    TOWN,
    TRUTH,
    message_types,
    rig_file,
    start_town,
    subscribe,
    town,
)

from bev_perception.bags.typestore import bag_typestore
from bev_perception.cli.town_recording import TownJob, record_town
from bev_perception.ros.transform_messages import quaternion_from_matrix

POINTS = "/lidar/points"
__all__ = ["rig_file", "town"]


@pytest.fixture(scope="module", params=[0, 90], ids=["raw", "jpeg and lidar"])
def drive(
    request: pytest.FixtureRequest, ros_environment: Any, ros_process_of_module: Any, rig_file: Path
) -> Iterator[SimpleNamespace]:
    """A whole drive: its jpeg_quality, whether it has a LiDAR, and what arrived."""
    from rosgraph_msgs.msg import Clock
    from sensor_msgs.msg import PointCloud2

    quality, lidar = request.param, request.param > 0
    types = {**message_types(compressed=quality > 0), "/clock": Clock}
    types |= {POINTS: PointCloud2} if lidar else {}
    client = Client(ros_environment, "listener")
    arrived = subscribe(client, types)
    node = start_town(
        ros_process_of_module,
        rig_file,
        jpeg_quality=quality,
        lidar=lidar,
        wait_for_subscribers=1,
        wait_for_subscribers_on=["/clock", "/tf", "/tf_static", "/odom", TRUTH, *[POINTS] * lidar],
    )
    assert node.wait() == 0
    yield SimpleNamespace(jpeg_quality=quality, lidar=lidar, arrived=arrived)
    client.close()


def test_a_recorded_live_drive_is_byte_for_byte_what_bev_simulate_writes(
    drive: SimpleNamespace, rig_file: Path, tmp_path: Path
) -> None:
    quality = drive.jpeg_quality or None
    job = TownJob(TOWN, tmp_path / "bag", rig_file, NUM_SETS, 1e9 / PERIOD_NS, quality)
    record_town(replace(job, lidar=drive.lidar))
    recorded: dict[tuple[str, str], list[bytes]] = {}
    with Reader(tmp_path / "bag") as reader:
        for connection, _, raw in reader.messages():
            message = without_filling(bytes(raw), connection.msgtype)
            recorded.setdefault((connection.topic, connection.msgtype), []).append(message)
    assert {topic for topic, _ in recorded} == set(drive.arrived) - {"/clock"}
    for (topic, msgtype), messages in recorded.items():
        live = drive.arrived[topic].wait(len(messages))
        assert [without_filling(entry.raw, msgtype) for entry in live] == messages, topic


def without_filling(raw: bytes, msgtype: str) -> bytes:
    """The message with zeros between its fields and none after them.

    Fast CDR leaves there what the memory held before, and DDS fills up to four bytes. Where
    tf_transformations is installed, its quaternions differ from ours in the last bit.
    """
    store = bag_typestore()
    message = store.deserialize_cdr(raw, msgtype)
    if quaternion_from_matrix is not None:
        for turn in quaternions(message):
            turn.x, turn.y, turn.z, turn.w = (
                round(value, 12) + 0.0 for value in (turn.x, turn.y, turn.z, turn.w)
            )
    return bytes(store.serialize_cdr(message, msgtype))


def quaternions(message: Any) -> list[Any]:
    """Those of a TFMessage or an Odometry."""
    if hasattr(message, "transforms"):
        return [entry.transform.rotation for entry in message.transforms]
    return [message.pose.pose.orientation] if hasattr(message, "twist") else []


def test_clock_pose_and_truth_of_a_set_are_sent_before_the_images_of_their_stamp(
    drive: SimpleNamespace,
) -> None:
    arrived = drive.arrived
    stamps = [FIRST_NS + number * PERIOD_NS for number in range(NUM_SETS)]
    # A Clock message is its time alone, where others have their header's stamp.
    clock = arrived["/clock"].wait_for_stamp(stamps[-1])
    assert list(dict.fromkeys(entry.stamp_ns for entry in clock)) == stamps
    images = [arrived[topic].wait(NUM_SETS) for topic in arrived if "image_raw" in topic]
    assert len(images) == len(CAMERAS)
    topics = ("/tf", "/odom", TRUTH, *[POINTS] * drive.lidar)
    earlier = [arrived[topic].wait(NUM_SETS) for topic in topics]
    for number, stamp_ns in enumerate(stamps):
        first_image_ns = min(arrivals[number].sent_ns for arrivals in images)
        assert min(e.sent_ns for e in clock if e.stamp_ns == stamp_ns) < first_image_ns
        for arrivals in earlier:
            assert arrivals[number].sent_ns < first_image_ns, arrivals.topic


def test_nothing_is_driven_before_every_camera_has_its_subscribers(
    town: Callable[..., Any], client: Any
) -> None:
    topics = message_types()
    first = subscribe(client, topics)
    node = town(wait_for_subscribers=2)
    node.wait_for_log(f"town {TOWN}: cameras front, left")
    assert not first["/camera/front/image_raw"]
    second = subscribe(client, topics)
    assert node.wait() == 0
    for arrived in (first, second):
        images = arrived["/camera/left/image_raw"].wait(NUM_SETS)
        assert images[0].stamp_ns == FIRST_NS


def test_the_next_set_waits_for_the_output_of_the_last_one(
    town: Callable[..., Any], client: Any
) -> None:
    from nav_msgs.msg import OccupancyGrid

    topic = f"/camera/{CAMERAS[-1]}/image_raw"
    arrived = subscribe(client, message_types())[topic]
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


def test_outputs_that_do_not_come_are_waited_for_counted_and_told(
    town: Callable[..., Any], client: Any
) -> None:
    topic = f"/camera/{CAMERAS[-1]}/image_raw"
    arrived = subscribe(client, message_types())[topic]
    node = town(
        wait_for_topic="/bev/occupancy_grid", wait_for_subscribers=1, lockstep_timeout_s=0.2
    )
    assert node.wait() == 0
    arrived.wait(NUM_SETS)
    gaps = [after.sent_ns - before.sent_ns for before, after in pairwise(arrived)]
    assert min(gaps) >= 200_000_000
    assert "for the set at 1.250 s within 0.2 s; going on without it, 2 so far" in node.log
    node.wait_for_log(rf"{NUM_SETS} without an output")


def test_time_stands_still_while_paused_and_is_the_real_one_after(
    town: Callable[..., Any], client: Any
) -> None:
    from rosgraph_msgs.msg import Clock

    arrived = subscribe(client, {**message_types(), "/clock": Clock})
    node = town(paused=True, wait_for_subscribers=1, max_real_time_factor=1.0)
    arrived["/clock"].wait(5)
    assert {entry.stamp_ns for entry in arrived["/clock"]} == {FIRST_NS}
    assert not arrived["/camera/front/image_raw"]
    assert [result.successful for result in client.set_parameters("/town", paused=False)] == [True]
    assert node.wait() == 0
    assert arrived["/camera/front/image_raw"].wait(NUM_SETS)[0].stamp_ns == FIRST_NS
    took_s = float(node.wait_for_log(rf"drove {NUM_SETS} sets in (\S+) s")[1])
    assert took_s >= (NUM_SETS - 1) * PERIOD_NS / 1e9


def _describe(*names: str) -> tuple[Any, Any]:
    from rcl_interfaces.srv import DescribeParameters

    return DescribeParameters, DescribeParameters.Request(names=list(names))
