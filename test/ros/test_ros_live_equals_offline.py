# SPDX-License-Identifier: Apache-2.0
"""A bag played into the perception node gives, cell for cell, what bev run makes of the bag."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_network import CONFIG

from bev_perception.bags import BagWriter
from bev_perception.bags.bag_file import BagFile
from bev_perception.bags.point_clouds import fields_from_message
from bev_perception.bags.typestore import bag_typestore
from bev_perception.geometry import (
    LIDAR_FRAME,
    SCAN_FIELDS,
    CameraFrame,
    FrameSet,
    LidarScan,
    Rig,
    RigidTransform,
)
from bev_perception.geometry.point_values import RADAR_VALUES
from bev_perception.model import Segnet, save_weights
from bev_perception.model.memory_config import MemoryConfig
from bev_perception.perception.point_labels import FREE, UNKNOWN

pytest.importorskip("rclpy", reason="no ROS 2 here: `make ros` installs the wheels")

SETS = 10
PERIOD_NS = 100_000_000
FIRST_NS = 5_000_000_000
BLACK_FROM = 4
"""From this set on the left camera is black."""

CLOUD_LOST, CLOUD_EARLY_NS = 6, 20_000_000
"""This set has no point cloud; every other cloud is measured before its images."""

CLOUD_TOPICS = {"lidar": "/lidar/points", "radar_features": "/radar_front/points"}
RADAR_FRAME = "radar_front"
BASE_T_SENSOR = RigidTransform.from_euler(yaw=0.4, translation=(0.2, 0.1, 2.0))

OUTPUTS = {
    "/bev/occupancy_grid": "nav_msgs/msg/OccupancyGrid",
    "/bev/probability_grid": "nav_msgs/msg/OccupancyGrid",
    "/bev/centers": "sensor_msgs/msg/PointCloud2",
    "/bev/markers": "visualization_msgs/msg/MarkerArray",
    "/bev/instances": "sensor_msgs/msg/PointCloud2",
}
LABELLED_POINTS = "/bev/labelled_points"


def world_T_base(index: int) -> RigidTransform:
    """A vehicle that brakes: below the levelling tolerance at first, above it later."""
    return RigidTransform.from_euler(
        pitch=np.radians(0.04 * index), yaw=0.02 * index, translation=(0.5 * index, 0.0, 0.0)
    )


def frame_set(rig: Rig, index: int) -> FrameSet:
    """Coloured noise in blocks, so that something is found in it; cameras a few ms apart."""
    stamp_ns = FIRST_NS + index * PERIOD_NS
    frames = {}
    for order, name in enumerate(rig):
        lens = rig[name].camera
        random = np.random.default_rng([index // 2, order])
        blocks = random.integers(0, 256, (lens.height // 8, lens.width // 8, 3), dtype=np.uint8)
        image = np.kron(blocks, np.ones((8, 8, 1), dtype=np.uint8))
        if name == "left" and index >= BLACK_FROM:
            image[:] = 0
        frames[name] = CameraFrame(name, stamp_ns + order * 1_000_000, image)
    return FrameSet(stamp_ns, frames, world_T_base=world_T_base(index))


def write_bag(path: Path, rig: Rig, jpeg_quality: int | None, sensor: str) -> None:
    with BagWriter(path) as writer:
        others = dict.fromkeys((LIDAR_FRAME, RADAR_FRAME), BASE_T_SENSOR)
        writer.write_rig(rig, FIRST_NS, others=others)
        for index in range(SETS):
            moment = frame_set(rig, index)
            writer.write_frame_set(moment, rig, jpeg_quality)
            if sensor != "none" and index != CLOUD_LOST:
                early_ns = CLOUD_EARLY_NS if index % 2 else 0
                write_cloud(writer, moment.stamp_ns - early_ns, sensor, index)


def write_cloud(writer: BagWriter, stamp_ns: int, sensor: str, index: int) -> None:
    """A turn of a LiDAR, or returns of a radar that says all that nuScenes' radars do."""
    random = np.random.default_rng(index)
    places = random.uniform((-16, -16, -3), (16, 16, 0), (2000, 3))
    if sensor == "lidar":
        returns = np.zeros(len(places), dtype=list(SCAN_FIELDS))
        returns["x"], returns["y"], returns["z"] = places.T
        writer.write_scan(stamp_ns, LidarScan(BASE_T_SENSOR, returns))
        return
    said = random.normal(0.0, 0.5, (len(places), len(RADAR_VALUES)))
    said[::50] = np.nan  # values that the radar does not know
    cloud = np.hstack([places, said])
    writer.write_points(stamp_ns, cloud, RADAR_FRAME, CLOUD_TOPICS[sensor], RADAR_VALUES)


def run_offline(bag: Path, out: Path, weights: Path) -> dict[str, list[Any]]:
    """Messages of bev run by topic."""
    command = [sys.executable, "-m", "bev_perception.cli.main", "run", bag, "--out", out]
    options = ["--weights", weights, "--device", "cpu", "--precision", "fp32", "--track"]
    options += ["--labelled-points", "--instances", "--pictures", "0"]
    subprocess.run([*map(str, command + options)], check=True, env=os.environ)
    messages = defaultdict(list)
    file = BagFile(out / "output")
    for connection, _, raw in file.messages(file.connections):
        messages[connection.topic].append(file.decode(connection, raw))
    file.close()
    return messages


def raw_sets(bag: Path) -> tuple[list[tuple[str, str, bytes]], list[list[tuple[str, str, bytes]]]]:
    """(topic, type, CDR) of what comes first and once, and of each moment."""
    file = BagFile(bag)
    static, moments = [], defaultdict(list)
    for connection, log_ns, raw in file.messages(file.connections):
        entry = (connection.topic, connection.msgtype, bytes(raw))
        if connection.topic == "/tf_static":
            static.append(entry)
        else:
            moments[(log_ns - FIRST_NS) // PERIOD_NS].append(entry)
    file.close()
    return static, [moments[index] for index in sorted(moments)]


def knows_cameras(client: Any, moment: list[tuple[str, str, bytes]], diagnoses: Any) -> bool:
    """Whether the node has heard CameraInfo, which is said once more; it comes best effort."""
    for topic, kind, raw in moment:
        if kind.endswith("CameraInfo"):
            client.publisher(topic, None).publish(raw)
    newest = diagnoses.messages[-1].status if diagnoses.messages else ()
    causes = [entry.value for status in newest for entry in status.values if "cause" in entry.key]
    return bool(causes) and not any("no CameraInfo" in cause for cause in causes)


def message_type(kind: str) -> type:
    """The rclpy class of a name such as sensor_msgs/msg/Image."""
    from importlib import import_module

    package, _, name = kind.split("/")
    return getattr(import_module(f"{package}.msg"), name)


def save_richer_network(path: Path, sensor: str) -> Path:
    """The small network with a memory and a LiDAR or radar, and it makes use of both."""
    torch.manual_seed(0)
    memory = MemoryConfig("gru", anchor_m=1.0)
    model = Segnet(replace(CONFIG, memory=memory, sensor=sensor))
    assert model.memory is not None
    assert model.sensor_convolution is not None
    torch.nn.init.normal_(model.memory.to_bev.weight, std=0.3)
    torch.nn.init.normal_(model.sensor_convolution.weight, std=0.3)
    save_weights(path, model, {"recipe": "none"})
    return path


@pytest.mark.parametrize(
    ("jpeg_quality", "sensor"),
    [(None, "none"), (90, "lidar"), (90, "radar_features")],
    ids=["raw", "jpeg, memory and lidar", "jpeg, memory and radar with features"],
)
def test_live_output_equals_that_of_bev_run(
    jpeg_quality: int | None,
    sensor: str,
    fast_weights: Path,
    small_rig: Rig,
    perception_node: Callable[..., Any],
    client: Any,
    wait_until: Callable[..., Any],
    tmp_path: Path,
) -> None:
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.qos import DurabilityPolicy, QoSProfile

    weights, senses = fast_weights, sensor != "none"
    if senses:
        weights = save_richer_network(tmp_path / "richer.safetensors", sensor)
    write_bag(tmp_path / "drive", small_rig, jpeg_quality, sensor)
    offline = run_offline(tmp_path / "drive", tmp_path / "run", weights)
    static, moments = raw_sets(tmp_path / "drive")

    outputs = OUTPUTS | ({LABELLED_POINTS: "sensor_msgs/msg/PointCloud2"} if senses else {})
    live: dict[str, list[bytes]] = {topic: [] for topic in outputs}
    subscriptions = [
        client.node.create_subscription(message_type(kind), topic, live[topic].append, 10, raw=True)
        for topic, kind in outputs.items()
    ]
    diagnoses = client.collect("/diagnostics", DiagnosticArray)  # the last to be discovered
    perception_node(
        weights=str(weights),
        diagnostics_period_s=0.1,
        cameras=list(small_rig),
        precision="fp32",
        image_transport="raw" if jpeg_quality is None else "compressed",
        image_reliability="reliable",
        sync_timeout_ms=5000,
        tf_timeout_ms=5000,
        points_timeout_ms=1000,
        labelled_points=senses,
        **({"points": CLOUD_TOPICS[sensor]} if senses else {}),
    )
    latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    for topic, kind, _ in static:
        client.publisher(topic, message_type(kind), latched)
    sent = {topic: client.publisher(topic, message_type(kind)) for topic, kind, _ in moments[0]}
    sent.pop("/odom", None)
    for endpoint in (*sent.values(), *subscriptions):
        client.wait_matched(endpoint)
    for topic, _, raw in static:
        client.publisher(topic, None).publish(raw)
    wait_until(lambda: knows_cameras(client, moments[0], diagnoses), what="known CameraInfo")
    for index, moment in enumerate(moments):
        for topic, _, raw in moment:
            client.publisher(topic, None).publish(raw)
        expected = {topic: index + 1 for topic in outputs}
        expected[LABELLED_POINTS] = index + (index < CLOUD_LOST) if senses else 0
        wait_until(
            lambda wanted=expected: all(len(live[topic]) >= wanted[topic] for topic in live),
            what=f"all outputs of set {index}",
        )

    store = bag_typestore()
    for topic, kind in outputs.items():
        decoded = [store.deserialize_cdr(raw, kind) for raw in live[topic]]
        assert len(decoded) == len(offline[topic]) == expected[topic]
        for mine, theirs in zip(decoded, offline[topic]):
            assert_equal(mine, theirs, topic)
    values = np.concatenate([np.asarray(grid.data) for grid in offline["/bev/occupancy_grid"]])
    assert set(values) == {-1, 0, 100}, "the network found everything or nothing: a weak test"
    assert any(cloud.width for cloud in offline["/bev/centers"])
    masks = [fields_from_message(cloud, "") for cloud in offline["/bev/instances"]]
    assert any((mask["id"] >= 0).any() for mask in masks), "no cell has an object: a weak test"
    for mask, grid in zip(masks, offline["/bev/occupancy_grid"]):
        assert len(mask) == np.count_nonzero(np.asarray(grid.data) == 100)
    if senses:
        tables = [fields_from_message(cloud, "") for cloud in offline[LABELLED_POINTS]]
        labels = {int(label) for table in tables for label in table["label"]}
        assert {UNKNOWN, FREE} < labels, "no point is on anything: a weak test"


def assert_equal(mine: Any, theirs: Any, where: str) -> None:
    """Field by field."""
    if isinstance(theirs, np.ndarray):
        np.testing.assert_array_equal(mine, theirs, where)
    elif isinstance(theirs, list):
        assert len(mine) == len(theirs), where
        for index, (own, other) in enumerate(zip(mine, theirs)):
            assert_equal(own, other, f"{where}[{index}]")
    elif hasattr(theirs, "__dataclass_fields__"):
        for name in theirs.__dataclass_fields__:
            if not name.startswith("__"):
                assert_equal(getattr(mine, name), getattr(theirs, name), f"{where}.{name}")
    else:
        assert mine == theirs, where
