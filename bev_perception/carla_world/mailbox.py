# SPDX-License-Identifier: Apache-2.0
"""Where a sensor's callback thread leaves its data."""

from __future__ import annotations

import time
from queue import Empty, SimpleQueue

import carla

from bev_perception.carla_world.faults import CameraSilentError, FrameLeftOutError


class Mailbox:
    """Data of one sensor in order; the sensor's thread does nothing but put.

    The data is kept as CARLA's own object, because its buffer lives only as long as that.

    Args:
        name: of the sensor, for errors.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._queue: SimpleQueue[carla.SensorData] = SimpleQueue()
        self._early: carla.SensorData | None = None
        self._last: int | None = None

    def put(self, data: carla.SensorData) -> None:
        """Takes what the sensor has measured; called in CARLA's thread."""
        self._queue.put(data)

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
            data = self._next(frame, deadline, timeout_s)
            self._last = data.frame
            if data.frame == frame:
                return data
            if data.frame > frame:
                self._early = data
                raise FrameLeftOutError(
                    f"camera {self.name!r} has left out tick {frame} and delivered {data.frame}"
                )

    def _next(self, frame: int, deadline: float, timeout_s: float) -> carla.SensorData:
        if self._early is not None:
            data, self._early = self._early, None
            return data
        try:
            return self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            last = "none at all" if self._last is None else f"that of tick {self._last}"
            raise CameraSilentError(
                f"camera {self.name!r} has not delivered tick {frame} within {timeout_s:g} s; its "
                f"last image is {last}. The server may have run out of GPU memory (see its log) "
                f"or be too slow: use smaller images or fewer cameras, or raise sensor_timeout_s"
            ) from None
