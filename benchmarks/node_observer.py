# SPDX-License-Identifier: Apache-2.0
"""Listens to everything that the perception node publishes, as cheaply as it can.

Messages stay serialized but for /diagnostics: a Float32 is four bytes after the four of the CDR's
own header, and the outputs begin with their stamp.
"""

from __future__ import annotations

import struct
import time
from collections import Counter
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from nav_msgs.msg import OccupancyGrid
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Float32
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import MarkerArray

from bev_perception.ros.publishers import LATENCY_STAGES

SECOND = 1_000_000_000
CDR_CONTENT = 4
ENGINE_FACTS = ("backend", "device", "precision")
OUTPUTS = {
    "occupancy_grid": OccupancyGrid,
    "probability_grid": OccupancyGrid,
    "centers": PointCloud2,
    "objects": Detection3DArray,
    "markers": MarkerArray,
}


class NodeObserver:
    """Subscriptions to the node ``bev``.

    Attributes:
        latencies_ms: by stage, since begin.
        grids: time of arrival by stamp of the occupancy grid, nanoseconds, since begin.
        outputs: number of messages by topic, since begin.
        diagnosed: whether diagnostics came since begin.
        engine: what the node says of it: model, device and the like.
        tables_mb: memory of the node's tap tables.
        troubles: messages of the newest diagnostics that are not OK, by part of the node.
    """

    def __init__(self, node: Node) -> None:
        self.latencies_ms: dict[str, list[float]] = {}
        self.grids: dict[int, int] = {}
        self.outputs: Counter[str] = Counter()
        self.diagnosed = False
        self.engine: dict[str, str] = {}
        self.tables_mb = 0.0
        self.troubles: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._counts_before: Counter[str] = Counter()
        deep = QoSProfile(depth=100)
        for name, kind in OUTPUTS.items():
            node.create_subscription(
                kind, f"/bev/{name}", lambda data, n=name: self._receive(n, data), deep, raw=True
            )
        for stage in LATENCY_STAGES:
            node.create_subscription(
                Float32,
                f"/bev/debug/latency_ms/{stage}",
                lambda data, s=stage: self._receive_latency(s, data),
                deep,
                raw=True,
            )
        node.create_subscription(DiagnosticArray, "/diagnostics", self._receive_counts, deep)

    def begin(self) -> None:
        """Forgets what came."""
        self.latencies_ms = {stage: [] for stage in LATENCY_STAGES}
        self.grids.clear()
        self.outputs.clear()
        self.diagnosed = False
        self._counts_before = self._counts

    @property
    def drops(self) -> Counter[str]:
        """What the node has dropped since begin: sets by "engine: cause", images by camera."""
        return self._counts - self._counts_before

    @property
    def total_drops(self) -> Counter[str]:
        """The same since the node's start."""
        return self._counts

    def _receive(self, name: str, data: bytes) -> None:
        self.outputs[name] += 1
        if name == "occupancy_grid":
            seconds, nanoseconds = struct.unpack_from("<iI", data, CDR_CONTENT)
            self.grids[seconds * SECOND + nanoseconds] = time.time_ns()

    def _receive_latency(self, stage: str, data: bytes) -> None:
        (value,) = struct.unpack_from("<f", data, CDR_CONTENT)
        self.latencies_ms.setdefault(stage, []).append(value)

    def _receive_counts(self, message: Any) -> None:
        self.diagnosed = True
        self.troubles = {
            status.name.removeprefix("bev: "): status.message
            for status in message.status
            if status.level != DiagnosticStatus.OK
        }
        for status in message.status:
            if status.name.endswith(": engine"):
                values = {entry.key: entry.value for entry in status.values}
                self.engine = {key: values[key] for key in ENGINE_FACTS if key in values}
                self.tables_mb = float(values.get("tap tables, MB", 0.0))
        self._counts = Counter(
            {
                f"{status.name.removeprefix('bev: ')}: {entry.key}": int(entry.value)
                for status in message.status
                for entry in status.values
                if entry.key.startswith("dropped: ") or entry.key == "partial_sets"
            }
        )
