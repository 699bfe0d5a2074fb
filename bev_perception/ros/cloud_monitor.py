# SPDX-License-Identifier: Apache-2.0
"""Whether point clouds come and fit the images, for /diagnostics."""

from __future__ import annotations

from threading import RLock

from bev_perception.ros.camera_status import Level, Status
from bev_perception.ros.event_stream import EventStream
from bev_perception.ros.lingering import Lingering
from bev_perception.ros.silence import silence

_WINDOW_S = 5.0
_WITHOUT = "sets go on without points"
_HINT = "check the LiDAR's driver and that it publishes PointCloud2 there"


class CloudMonitor:
    """Told of every cloud and every set; may be called from any thread.

    Nothing that happens to clouds is more than a warning: sets go on without them.
    """

    def __init__(self) -> None:
        self._topic = ""
        self._came = EventStream(_WINDOW_S)
        self._trouble = Lingering()
        self._problem = ""
        self._lock = RLock()

    def listens(self, topic: str) -> None:
        """Clouds of this topic are subscribed to; until then there is no status."""
        with self._lock:
            self._topic = topic

    def received(self, now_ns: int) -> None:
        """A cloud has come; steady time."""
        with self._lock:
            self._came.advance(now_ns)
            self._came.arrive()

    def refused(self, problem: str, now_ns: int) -> None:
        """A cloud cannot be used, and why."""
        self._note("refused", problem, now_ns)

    def used(self, now_ns: int) -> None:
        """A set has got its cloud."""
        with self._lock:
            self._came.advance(now_ns)
            self._came.count("used")

    def missing(self, cause: str, now_ns: int) -> None:
        """A set has got no cloud, and why."""
        self._note("sets without points", cause, now_ns)

    def level(self, now_ns: int) -> Level:
        """Of the status; OK where there is none."""
        with self._lock:
            return self._judged(now_ns)[0] if self._topic else Level.OK

    def statuses(self, now_ns: int) -> list[Status]:
        """One where clouds are subscribed to, else none."""
        with self._lock:
            if not self._topic:
                return []
            level, text = self._judged(now_ns)
            values = {"rate_hz": f"{self._rate_hz:.1f}", "topic": self._topic}
            values |= {kind: str(count) for kind, count in sorted(self._came.totals.items())}
            return [Status("points", level, f"points: {text}", values)]

    def _note(self, kind: str, problem: str, now_ns: int) -> None:
        with self._lock:
            self._came.advance(now_ns)
            self._came.count(kind)
            self._problem = problem
            self._trouble.note(now_ns)

    def _judged(self, now_ns: int) -> tuple[Level, str]:
        self._came.advance(now_ns)
        if silent := silence(self._came, self._topic, _WITHOUT, _HINT):
            return Level.WARN, silent
        if self._trouble.holds(now_ns):
            return Level.WARN, f"{self._problem}; {_WITHOUT}"
        return Level.OK, f"{self._rate_hz:.1f} clouds per second"

    @property
    def _rate_hz(self) -> float:
        return self._came.rate_hz
