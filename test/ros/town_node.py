# SPDX-License-Identifier: Apache-2.0
"""The town's node on two small cameras, and all that it publishes as it was sent.

Import the fixtures into a test file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ros_client import Client
from ros_processes import RosProcess, RosProcesses, wait_for

TRUTH = "/ground_truth/objects"
TOWN, NUM_SETS, PERIOD_NS, FIRST_NS = 11_004, 3, 250_000_000, 1_000_000_000
CAMERAS = ("front", "left")
LENS = "width: 168, height: 112, horizontal_fov_deg: 100"
RIG = f"""
cameras:
  front: {{{LENS}, position: [1.9, 0, 1.6], rpy_deg: [0, 5, 0]}}
  left: {{{LENS}, position: [1.2, 0.8, 1.6], rpy_deg: [0, 5, 90]}}
"""


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

    def __init__(self, topic: str) -> None:
        super().__init__()
        self.topic = topic

    def wait(self, count: int) -> Arrivals:
        """Once there are at least count."""
        wait_for(lambda: len(self) >= count, what=f"{count} messages on {self.topic}")
        return self

    def wait_for_stamp(self, stamp_ns: int) -> Arrivals:
        """Once there is one of that stamp."""
        wait_for(
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


def subscribe(client: Client, topics: dict[str, Any]) -> dict[str, Arrivals]:
    """Subscribes to topics as a recorder does."""
    from rclpy.qos import DurabilityPolicy, QoSProfile

    arrived = {topic: Arrivals(topic) for topic in topics}

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


def start_town(processes: RosProcesses, rig: Path, **parameters: Any) -> RosProcess:
    """The node, by default for NUM_SETS sets as fast as it can."""
    values = {
        "town": TOWN,
        "rate_hz": 1e9 / PERIOD_NS,
        "rig_file": str(rig),
        "num_sets": NUM_SETS,
        "max_real_time_factor": 0.0,
        **parameters,
    }
    environment = values.pop("environment", {})
    node = "bev_perception.ros.simulation_node"
    return processes(node, parameters=values, environment=environment)


@pytest.fixture(scope="module")
def rig_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two cameras."""
    path = tmp_path_factory.mktemp("rig") / "two_cameras.yaml"
    path.write_text(RIG)
    return path


@pytest.fixture
def town(ros_process: RosProcesses, rig_file: Path) -> Callable[..., RosProcess]:
    """town(**parameters): the node of one test; environment has variables for it."""
    return lambda **parameters: start_town(ros_process, rig_file, **parameters)
