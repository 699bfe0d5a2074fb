# SPDX-License-Identifier: Apache-2.0
"""That the node took over from one that died, and whether another one is on standby."""

from __future__ import annotations

from bev_perception.ros.camera_status import Level, Status
from bev_perception.supervision.supervised_life import SupervisedLife

NEWS_NS = 3_000_000_000
"""How long a takeover is a warning."""


class ProcessMonitor:
    """Of this process, for /diagnostics.

    Args:
        life: None where nobody supervises the process; then there is no status.
    """

    def __init__(self, life: SupervisedLife | None = None) -> None:
        self._life = life

    def statuses(self, now_ns: int) -> list[Status]:
        """None or one.

        Args:
            now_ns: steady time, nanoseconds.
        """
        life = self._life
        if life is None or life.takeover is None:
            return []
        level = self.level(now_ns)
        values = {"restarts": str(life.takeover.restarts), "standby": life.standby or "none"}
        told = []
        if life.takeover.restarts:
            ago_s = (now_ns - life.takeover.at_ns) / 1e9
            values["last cause"] = life.takeover.cause
            values["running for"] = f"{ago_s:.0f} s"
            told.append(f"took over {_for_people(ago_s)} ago: the process before {_cause(life)}")
        if life.standby_problem:
            told.append(f"no network on standby: {life.standby_problem}")
        elif life.standby != "ready":
            told.append("no process is on standby yet")
        else:
            told.append("another process is on standby")
        return [Status("process", level, f"process: {'; '.join(told)}", values)]

    def level(self, now_ns: int) -> Level:
        """Of the status; OK where there is none."""
        life = self._life
        if life is None or life.takeover is None:
            return Level.OK
        life.listen()
        is_new = life.takeover.restarts > 0 and now_ns - life.takeover.at_ns < NEWS_NS
        return Level.WARN if is_new or life.standby_problem else Level.OK

    def log_lines(self) -> list[str]:
        """What to write into the log when the node begins."""
        life = self._life
        if life is None or life.takeover is None or not life.takeover.restarts:
            return []
        count = life.takeover.restarts
        return [f"took over because the process before {_cause(life)} (restarts: {count})"]


def _cause(life: SupervisedLife) -> str:
    return life.takeover.cause if life.takeover is not None else ""


def _for_people(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
