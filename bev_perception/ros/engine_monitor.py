# SPDX-License-Identifier: Apache-2.0
"""How fast sets go through the network, and what is left undone because it is busy."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from threading import RLock

import numpy as np

from bev_perception.ros.camera_status import Level, Status
from bev_perception.ros.event_stream import EventStream
from bev_perception.ros.lingering import Lingering

_WINDOW_S = 5.0
_SAMPLES_KEPT = 200
_BUSY_SHARE = 0.1
_STALE_S = 2.0
MEGABYTE = 1e6


class EngineMonitor:
    """Told of every set; may be called from any thread.

    Args:
        facts: asked at every status, for the values: model, backend, device, precision. They
            change when another engine takes over.
    """

    def __init__(self, facts: Callable[[], Mapping[str, str]]) -> None:
        self._facts = facts
        self._first_facts = dict(facts())
        self._done = EventStream(_WINDOW_S)
        self._latencies: dict[str, deque[float]] = {}
        self._problem = ""
        self._failures, self._busy = Lingering(), Lingering()
        self._last_problem = ""
        self._hang = self._refusal = ""
        self._memory = self._unused = ""
        self._without_memory = Lingering()
        self._tables = (0, 0)
        self._lock = RLock()

    def set_published(self, timings_ms: Mapping[str, float], now_ns: int) -> None:
        """A set is through; milliseconds by stage."""
        with self._lock:
            self._done.advance(now_ns)
            self._done.arrive()
            self._problem = ""
            for stage, value in timings_ms.items():
                self._latencies.setdefault(stage, deque(maxlen=_SAMPLES_KEPT)).append(value)

    def set_dropped(self, cause: str = "busy", count: int = 1) -> None:
        """Sets were not processed, because a newer one came while the engine was busy."""
        with self._lock:
            self._done.count(cause, count)
            if cause == "busy":
                self._busy.note(self._done.now_ns)

    def failed(self, problem: str) -> None:
        """A set could not be processed; a warning for a while when the next one can."""
        with self._lock:
            self._problem = self._last_problem = problem
            self._failures.note(self._done.now_ns)
            self._done.count("failed")

    def rig_refused(self, problem: str) -> None:
        """The newest rig cannot be used, and why; empty when one can."""
        with self._lock:
            self._refusal = problem

    def remembers(self, status: str) -> None:
        """What the network remembers or why it does not, in words; "" without memory."""
        with self._lock:
            self._memory = status
            if status.startswith("not used"):
                self._unused = status
                self._without_memory.note(self._done.now_ns)

    def keeps_tables(self, count: int, num_bytes: int) -> None:
        """Tap tables that are kept for other attitudes and cameras, and the memory they take."""
        with self._lock:
            self._tables = (count, num_bytes)

    def hangs(self, problem: str) -> None:
        """The network does not answer, and why that matters; empty when it does again."""
        with self._lock:
            self._hang = problem

    def verdict(self, now_ns: int) -> tuple[Level, bool]:
        """Level of status, and whether a failure is still told of, for little work."""
        with self._lock:
            self._done.advance(now_ns)
            return self._judged()[0], self._failures.holds(self._done.now_ns)

    def status(self, now_ns: int) -> Status:
        """OK; WARN when sets are dropped; ERROR when they fail or hang; STALE when none come."""
        with self._lock:
            self._done.advance(now_ns)
            level, text = self._judged()
            hardware_id = self._facts().get("device", "")
            return Status("engine", level, f"engine: {text}", self._values(), hardware_id)

    def _judged(self) -> tuple[Level, str]:
        silent_s = self._done.silent_s
        if self._hang:
            return Level.ERROR, self._hang
        if self._problem:
            return Level.ERROR, self._problem
        if self._failures.holds(self._done.now_ns):
            return Level.WARN, f"going on after a set that failed: {self._last_problem}"
        if self._refusal:
            rest = "" if silent_s is None else "; going on with the rig before"
            return Level.ERROR if silent_s is None else Level.WARN, f"{self._refusal}{rest}"
        if silent_s is None:
            return Level.STALE, "no set of images has come yet; see the cameras' statuses"
        period_s = self._done.period_s or 0.0
        if silent_s > max(_STALE_S, 5.0 * period_s):
            text = f"no set of images for {silent_s:.1f} s; see the cameras' statuses"
            return Level.STALE, text
        busy = self._done.recent("busy")
        share = busy / max(1, busy + self._done.recent("received"))
        rate = f"{self._done.rate_hz:.1f} sets per second"
        if share > _BUSY_SHARE and self._busy.holds(self._done.now_ns):
            return Level.WARN, (
                f"{rate}, {100 * share:.0f} % of the sets are dropped because the engine is "
                f"busy; lower the cameras' rate or use a faster device"
            )
        changed = [
            f"{name} {value} instead of {self._first_facts.get(name)}"
            for name, value in self._facts().items()
            if value != self._first_facts.get(name)
        ]
        if changed:
            return Level.WARN, f"{rate}; memory was short: {', '.join(changed)}"
        is_unused = self._memory.startswith("not used")
        if is_unused or self._without_memory.holds(self._done.now_ns):
            return Level.WARN, f"{rate}; memory {self._unused}"
        return Level.OK, rate

    def _values(self) -> dict[str, str]:
        values = {**self._facts(), "rate_hz": f"{self._done.rate_hz:.1f}"}
        if self._memory:
            values["memory"] = self._memory
        values["tap tables"] = str(self._tables[0])
        values["tap tables, MB"] = f"{self._tables[1] / MEGABYTE:.1f}"
        values["published"] = str(self._done.totals["received"])
        for kind, count in sorted(self._done.totals.items()):
            if kind != "received":
                values[f"dropped: {kind}"] = str(count)
        for stage, samples in self._latencies.items():
            middle, high = np.percentile(list(samples), (50, 95))
            values[f"{stage}_ms median"] = f"{middle:.1f}"
            values[f"{stage}_ms p95"] = f"{high:.1f}"
        return values
