# SPDX-License-Identifier: Apache-2.0
"""Where a sensor's callback thread leaves its data."""

from __future__ import annotations

import time
from collections import deque
from threading import Condition

import carla

from bev_perception.carla_world.faults import CameraSilentError, FrameLeftOutError

KEPT = 16
"""Images that wait at most; a server that runs freely sends more while nobody asks for them."""


class Mailbox:
    """Data of one sensor in order; the sensor's thread does nothing but put.

    The data is kept as CARLA's own object, because its buffer lives only as long as that.

    Args:
        name: of the sensor, for errors.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._waiting: deque[carla.SensorData] = deque(maxlen=KEPT)
        self._has_come = Condition()
        self._last: int | None = None

    def put(self, data: carla.SensorData) -> None:
        """Takes what the sensor has measured; called in CARLA's thread."""
        with self._has_come:
            self._waiting.append(data)
            self._has_come.notify()

    def receive(self, frame: int, timeout_s: float) -> carla.SensorData:
        """The data of one tick; what came before it is dropped, what came after it stays.

        Args:
            frame: number of the tick.
            timeout_s: how long to wait for it.

        Raises:
            CameraSilentError: it did not come in time.
            FrameLeftOutError: data of a later tick came instead.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            data = self._take(frame, deadline)
            if data is None:
                raise CameraSilentError(self._silence(frame, timeout_s))
            self._last = data.frame
            if data.frame > frame:
                raise FrameLeftOutError(
                    f"camera {self.name!r} has left out tick {frame} and delivered {data.frame}"
                )
            if data.frame == frame:
                return data

    def _take(self, frame: int, deadline: float) -> carla.SensorData | None:
        """The oldest that waits; removed, unless it is of a later tick. None when none comes."""
        with self._has_come:
            left_s = max(0.0, deadline - time.monotonic())
            if not self._has_come.wait_for(lambda: len(self._waiting) > 0, left_s):
                return None
            return self._waiting[0] if self._waiting[0].frame > frame else self._waiting.popleft()

    def _silence(self, frame: int, timeout_s: float) -> str:
        last = "none at all" if self._last is None else f"that of tick {self._last}"
        return (
            f"camera {self.name!r} has not delivered tick {frame} within {timeout_s:g} s; its "
            f"last image is {last}. The server may have run out of GPU memory (see its log) or be "
            f"too slow: use smaller images or fewer cameras, or raise sensor_timeout_s"
        )
