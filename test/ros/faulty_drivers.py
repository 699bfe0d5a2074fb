# SPDX-License-Identifier: Apache-2.0
"""Drivers of four cameras, a localisation and a clock, between which and the node faults sit."""

from __future__ import annotations

import heapq
import threading
import time
from itertools import count
from typing import Any

import numpy as np
from ros_cameras import Cameras
from ros_client import Client

from bev_perception.faults import Delivery, Injection, Injector, Kind
from bev_perception.geometry import Rig, RigidTransform

RATE_HZ = 10.0
SIM_START_NS = 1_000_000_000_000
SPEED_M_PER_S = 5.0


class FaultyDrivers:
    """Publishes images, CameraInfo, /tf, /tf_static and, with sim_time, /clock.

    Args:
        client: whose publishers are used.
        rig: of the cameras.
        sim_time: whether stamps are of a simulator's clock, which is published.
    """

    def __init__(self, client: Client, rig: Rig, sim_time: bool = False) -> None:
        self.cameras = Cameras(client, rig)
        self.cameras.is_live = True
        self._client, self._sim_time = client, sim_time
        self._injector = Injector()
        self._waiting: list[tuple[int, int, Delivery]] = []
        self._order = count()
        self._spoils_static = False
        self._began_ns = time.monotonic_ns()
        self._stop = threading.Event()
        self._static = self._static_message()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begins to publish in the background."""
        self._publish(Delivery(Kind.STATIC_TF, "", 0, self._static))
        self._thread.start()

    def inject(self, *injections: Injection) -> None:
        """From now on these faults and no others."""
        self._injector = Injector(injections)
        had, has = self._spoils_static, any(Kind.STATIC_TF in i.fault.kinds for i in injections)
        self._spoils_static = has
        if had or has:
            self._send(Kind.STATIC_TF, "", self._static)

    def close(self) -> None:
        """Ends them all."""
        self._stop.set()
        self._thread.join(5.0)
        self.cameras.close()

    def now_ns(self) -> int:
        """The time that stamps are of."""
        if not self._sim_time:
            return time.time_ns()
        return SIM_START_NS + time.monotonic_ns() - self._began_ns

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            due = max(due + 1.0 / RATE_HZ, time.monotonic() - 1.0)
            self._tick()
            while (left_s := due - time.monotonic()) > 0 and not self._stop.wait(min(left_s, 0.02)):
                self._send_due()
                if self._sim_time:
                    self._send_clock()

    def _tick(self) -> None:
        from tf2_msgs.msg import TFMessage

        stamp_ns = self.now_ns()
        if self._sim_time:
            self._send_clock()
        way_m = SPEED_M_PER_S * (time.monotonic_ns() - self._began_ns) / 1e9
        pose = RigidTransform(np.eye(3), np.array([way_m, 0.0, 0.0]))
        entry = self.cameras.transform(stamp_ns, "map", "base_link", pose)
        self._send(Kind.TF, "", TFMessage(transforms=[entry]))
        for name in self.cameras.rig.names:
            self._send(Kind.INFO, name, self.cameras.info_message(name, stamp_ns))
            self._send(Kind.IMAGE, name, self.cameras.image_message(name, stamp_ns))
        self._send_due()

    def _send_clock(self) -> None:
        from rosgraph_msgs.msg import Clock

        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(self.now_ns(), 1_000_000_000)
        self._send(Kind.CLOCK, "", message)

    def _send(self, kind: Kind, camera: str, message: Any) -> None:
        now_ns = time.monotonic_ns()
        for delivery in self._injector.feed(Delivery(kind, camera, now_ns, message)):
            if delivery.time_ns <= now_ns:
                self._publish(delivery)
            else:
                heapq.heappush(self._waiting, (delivery.time_ns, next(self._order), delivery))

    def _send_due(self) -> None:
        while self._waiting and self._waiting[0][0] <= time.monotonic_ns():
            self._publish(heapq.heappop(self._waiting)[2])

    def _publish(self, delivery: Delivery) -> None:
        qos: Any = 10
        if delivery.kind is Kind.STATIC_TF:
            from rclpy.qos import DurabilityPolicy, QoSProfile

            qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        topics = {
            Kind.IMAGE: f"/camera/{delivery.camera}/image_raw",
            Kind.INFO: f"/camera/{delivery.camera}/camera_info",
            Kind.TF: "/tf",
            Kind.STATIC_TF: "/tf_static",
            Kind.CLOCK: "/clock",
        }
        self._client.publish(topics[delivery.kind], delivery.message, qos)

    def _static_message(self) -> Any:
        from tf2_msgs.msg import TFMessage

        rig = self.cameras.rig
        return TFMessage(
            transforms=[
                self.cameras.transform(0, "base_link", rig[name].frame_id, rig[name].base_T_camera)
                for name in rig.names
            ]
        )
