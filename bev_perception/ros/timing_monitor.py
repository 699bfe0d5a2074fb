# SPDX-License-Identifier: Apache-2.0
"""Whether sets are published within the latency budget, and what takes the time if not."""

from __future__ import annotations

from collections.abc import Mapping
from threading import RLock

from bev_perception.ros.camera_status import Level, Status
from bev_perception.ros.event_stream import EventStream
from bev_perception.ros.lingering import Lingering
from bev_perception.ros.watchdog import Hang

OVERRUN_SHARE = 0.05
"""Of the sets of the last seconds above which overruns are a warning."""

_WINDOW_S = 5.0
_PARTS = ("wait", "decode", "prepare", "table", "engine", "objects", "publish")
"""Stages that add up to the total."""


class TimingMonitor:
    """Told of every set that was published or came too late, from any thread.

    Args:
        budget_ms: from the callback of a set's newest image to all published; 0 for none.
    """

    def __init__(self, budget_ms: int) -> None:
        self._budget_ms = budget_ms
        self._sets = EventStream(_WINDOW_S)
        self._by_stage = EventStream(_WINDOW_S)
        self._overruns = Lingering()
        self._worst = (0.0, "")
        self._hang: Hang | None = None
        self._lock = RLock()

    def set_published(self, timings_ms: Mapping[str, float], now_ns: int) -> None:
        """A set is through; milliseconds by stage, ``total`` among them."""
        stage = max(_PARTS, key=lambda name: timings_ms.get(name, 0.0))
        total_ms = timings_ms["total"]
        with self._lock:
            self._count(total_ms, stage, now_ns, 0 < self._budget_ms < total_ms)

    def set_too_late(self, total_ms: float, stage: str, now_ns: int) -> None:
        """A set was dropped after the watchdog's limit; always an overrun."""
        with self._lock:
            self._count(total_ms, stage, now_ns, True)

    def hangs(self, hang: Hang | None) -> None:
        """What the watchdog says now."""
        with self._lock:
            self._hang = hang

    def status(self, now_ns: int) -> Status:
        """OK; WARN where too many sets exceed the budget; ERROR while one hangs."""
        with self._lock:
            self._sets.advance(now_ns)
            self._by_stage.advance(now_ns)
            level, text = self._judged()
            return Status("timing", level, f"timing: {text}", self._values())

    def _count(self, total_ms: float, stage: str, now_ns: int, is_overrun: bool) -> None:
        self._sets.advance(now_ns)
        self._by_stage.advance(now_ns)
        self._sets.arrive()
        if is_overrun:
            self._sets.count("overrun")
            self._overruns.note(now_ns)
            self._by_stage.count(stage)
            self._worst = max(self._worst, (total_ms, stage))

    def _judged(self) -> tuple[Level, str]:
        if self._hang is not None:
            return Level.ERROR, hang_text(self._hang)
        if not self._budget_ms:
            return Level.OK, "no latency budget; set latency_budget_ms to be told of overruns"
        share = self._sets.share("overrun", 1)
        if share > OVERRUN_SHARE and self._overruns.holds(self._sets.now_ns):
            return Level.WARN, (
                f"{100 * share:.0f} % of the sets of the last {_WINDOW_S:g} s took longer than "
                f"latency_budget_ms ({self._budget_ms}), most of it in the stage "
                f"{self._worst_stage}; {_ADVICE[self._worst_stage]}"
            )
        return Level.OK, f"sets are published within {self._budget_ms} ms"

    @property
    def _worst_stage(self) -> str:
        """That took most of most overruns: of late if there were any, else since the start."""
        counts = {name: self._by_stage.recent(name) for name in _PARTS}
        if not any(counts.values()):
            counts = {name: self._by_stage.totals[name] for name in _PARTS}
        return max(counts, key=lambda name: counts[name]) if any(counts.values()) else ""

    def _values(self) -> dict[str, str]:
        sets, overruns = self._sets.totals["received"], self._sets.totals["overrun"]
        return {
            "latency_budget_ms": str(self._budget_ms),
            "sets": str(sets),
            "overruns": str(overruns),
            "overrun share %": f"{100 * overruns / max(1, sets):.2f}",
            "overrun share of late %": f"{100 * self._sets.share('overrun', 1):.2f}",
            "worst stage": self._worst_stage,
            "worst overrun_ms": f"{self._worst[0]:.1f}",
            "worst overrun's stage": self._worst[1],
        }


def hang_text(hang: Hang) -> str:
    """What hangs and what to do, for people."""
    return (
        f"the stage {hang.stage} hangs: the set in work began {hang.seconds:.1f} s ago (allowed: "
        f"{hang.limit_s:.1f} s); nothing is published until that ends, and then only newer sets; "
        f"{_HANG_ADVICE.get(hang.stage, _ANY_ADVICE)}"
    )


_ADVICE = {
    "": "",
    "wait": "the network is busy or ego poses come late: look at the status transforms, lower the "
    "cameras' rate or tf_timeout_ms",
    "decode": "publish raw images or smaller ones",
    "prepare": "publish smaller images",
    "table": "the vehicle's attitude or the cameras change often: raise level_tolerance_deg",
    "engine": "use a faster device, backend or precision, or smaller weights",
    "objects": "raise center_threshold or lower max_objects",
    "publish": "a subscriber or the transport is slow: subscribe to less",
}
_ANY_ADVICE = "if it does not end, restart the node"
_HANG_ADVICE = {
    "engine": "if the network does not answer, look at its device (driver, dmesg, other processes "
    "that use it) and restart the node; where all is just slow, raise watchdog_s",
    "publish": "a subscriber or the transport blocks; end the subscribers one by one",
}
