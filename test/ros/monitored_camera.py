# SPDX-License-Identifier: Apache-2.0
"""A camera as its monitor sees it."""

from __future__ import annotations

from collections.abc import Callable

from bev_perception.ros.camera_monitor import CameraMonitor
from bev_perception.ros.camera_status import CameraStatus
from bev_perception.ros.camera_topics import CAMERA_INFO, IMAGE
from bev_perception.ros.endpoints import Publisher

SECOND = 1_000_000_000
PERIOD = SECOND // 10
TOPIC, INFO_TOPIC = "/camera/rear/image_raw", "/camera/rear/camera_info"
DRIVER = Publisher("/rear_driver", IMAGE, "reliable", "volatile")
INFO_DRIVER = Publisher("/rear_driver", CAMERA_INFO, "reliable", "volatile")


class Camera:
    """A monitor and the steady clock that it is told; all is well unless a test spoils it."""

    def __init__(self, **options: object) -> None:
        self.monitor = CameraMonitor("rear", TOPIC, INFO_TOPIC, **options)  # type: ignore[arg-type]
        self.now_ns = 50 * SECOND
        self.monitor.publishers([DRIVER], [INFO_DRIVER])
        self.monitor.info_received()
        self.monitor.status(self.now_ns)

    def send(
        self,
        count: int = 30,
        then: Callable[[CameraMonitor], object] = CameraMonitor.image_used,
        period_ns: int = PERIOD,
    ) -> Camera:
        """Images at a steady rate, and what becomes of each."""
        for _ in range(count):
            self.now_ns += period_ns
            self.monitor.image_received(self.now_ns, self.now_ns, "rear_optical_frame")
            then(self.monitor)
        return self

    def wait(self, seconds: float) -> Camera:
        self.now_ns += int(seconds * SECOND)
        return self

    @property
    def status(self) -> CameraStatus:
        return self.monitor.status(self.now_ns)


def late(monitor: CameraMonitor) -> None:
    monitor.images_dropped("late")


def damaged(monitor: CameraMonitor) -> None:
    monitor.image_refused(f"{TOPIC}: not a JPEG")
