# SPDX-License-Identifier: Apache-2.0
"""Whether an IMU comes and levels the map, for /diagnostics."""

from __future__ import annotations

import math

from bev_perception.perception.imu_attitude import ImuTilt
from bev_perception.ros.camera_status import Level, Status
from bev_perception.ros.event_stream import EventStream
from bev_perception.ros.lingering import Lingering
from bev_perception.ros.silence import silence

_WINDOW_S = 5.0
_WITHOUT = "the map is not levelled by it"
_HINT = "check the IMU's driver and that it publishes sensor_msgs/Imu there"


class ImuMonitor:
    """Told of every sample and every set, in the executor's thread.

    Nothing that happens to an IMU is more than a warning: sets go on without it.
    """

    def __init__(self) -> None:
        self._topic = ""
        self._came = EventStream(_WINDOW_S)
        self._trouble = Lingering()
        self._problem = ""
        self._tilt = ImuTilt()
        self._is_needed = False

    def listens(self, topic: str) -> None:
        """This topic is subscribed to; until then there is no status."""
        self._topic = topic

    def received(self, now_ns: int) -> None:
        """A sample has come that can be used; steady time."""
        self._came.advance(now_ns)
        self._came.arrive()

    def refused(self, problem: str, now_ns: int) -> None:
        """A message cannot be used, and why."""
        self._came.advance(now_ns)
        self._came.count("refused")
        self._problem = problem
        self._trouble.note(now_ns)

    def asked(self, tilt: ImuTilt, is_needed: bool, now_ns: int) -> None:
        """What a set got, and whether its pose told no attitude."""
        self._came.advance(now_ns)
        self._tilt, self._is_needed = tilt, is_needed
        if is_needed:
            self._came.count("sets not levelled" if tilt.problem else "sets levelled")

    def level(self, now_ns: int) -> Level:
        """Of the status; OK where there is none."""
        return self._judged(now_ns)[0] if self._topic else Level.OK

    def statuses(self, now_ns: int) -> list[Status]:
        """One where an IMU is subscribed to, else none."""
        if not self._topic:
            return []
        level, text = self._judged(now_ns)
        tilt = self._tilt
        values = {"rate_hz": f"{self._came.rate_hz:.1f}", "topic": self._topic}
        values |= {kind: str(count) for kind, count in sorted(self._came.totals.items())}
        if tilt.level_T_base is not None:
            roll, pitch = (math.degrees(angle) for angle in tilt.level_T_base.euler[:2])
            values |= {"roll_deg": f"{roll:+.2f}", "pitch_deg": f"{pitch:+.2f}"}
        if math.isfinite(tilt.sigma_deg):
            bias = " ".join(f"{value:+.3f}" for value in tilt.bias_deg_s)
            values |= {"sigma_deg": f"{tilt.sigma_deg:.2f}", "gyro bias deg/s": bias}
            values["acceleration"] = (
                "from the ego pose" if tilt.knows_acceleration else "unknown: gravity at rest only"
            )
        return [Status("imu", level, f"imu: {text}", values)]

    def _judged(self, now_ns: int) -> tuple[Level, str]:
        self._came.advance(now_ns)
        if self._trouble.holds(now_ns):
            return Level.WARN, f"{self._problem}; {_WITHOUT}"
        if silent := silence(self._came, self._topic, _WITHOUT, _HINT):
            return Level.WARN, silent
        if not self._is_needed:
            return Level.OK, "the ego pose tells roll and pitch, or no set has asked yet"
        if self._tilt.problem:
            return Level.WARN, f"{self._tilt.problem}; {_WITHOUT}"
        return Level.OK, f"levels the map, {self._came.rate_hz:.0f} samples per second"
