# SPDX-License-Identifier: Apache-2.0
"""Whether the node's clock goes, where it follows /clock."""

from __future__ import annotations

from bev_perception.ros.camera_status import Level, Status
from bev_perception.ros.event_stream import SECOND, EventStream
from bev_perception.ros.lingering import Lingering

CLOCK_TOPIC = "/clock"
PATIENCE_S = 2.0
"""A clock that has never begun, or goes so slowly, is waited for so long."""

LEAST_PATIENCE_S, _PERIODS = 0.7, 5.0
"""One that usually goes on more often stands still after this time, or so many of its periods."""

_FORWARD_S, _FASTEST = 2.0, 50.0
"""A clock that goes further than this, and so many times faster than time, has jumped."""


class ClockMonitor:
    """Compares the node's clock with the steady one."""

    def __init__(self) -> None:
        self._time_ns: int | None = None
        self._changed_ns = 0
        self._looked_ns = 0
        self._changes = EventStream(1.0)
        self._jumps, self._jump_s = Lingering(), 0.0

    def status(self, time_ns: int, now_ns: int, follows_topic: bool, num_publishers: int) -> Status:
        """OK; WARN when it stands still or has jumped, ERROR when it has never begun.

        Args:
            time_ns: of the node's clock.
            now_ns: of the steady clock.
            follows_topic: the parameter use_sim_time.
            num_publishers: of /clock.
        """
        if follows_topic and self._time_ns is not None:
            self._note_jump((time_ns - self._time_ns) / SECOND, now_ns)
        self._looked_ns = now_ns
        if time_ns != self._time_ns or not follows_topic:
            self._time_ns, self._changed_ns = time_ns, now_ns
            self._changes.advance(now_ns)
            self._changes.arrive()
        still_s = (now_ns - self._changed_ns) / SECOND
        is_still = still_s >= self._patience_s(time_ns)
        level, text = _judged(time_ns, still_s if is_still else 0.0, follows_topic, num_publishers)
        if level is Level.OK and follows_topic and self._jumps.holds(now_ns):
            side = "ahead" if self._jump_s > 0 else "back"
            level, text = (
                Level.WARN,
                (
                    f"/clock has jumped {side} by {abs(self._jump_s):.1f} s; going on from there "
                    f"(a bag that loops and a simulator that is reset do that; otherwise look for "
                    f"a second publisher of /clock)"
                ),
            )
        values = {
            "use_sim_time": str(follows_topic).lower(),
            "time_s": f"{time_ns / SECOND:.3f}",
            "publishers of /clock": str(num_publishers),
        }
        return Status("clock", level, f"clock: {text}", values)

    def _patience_s(self, time_ns: int) -> float:
        period_s = self._changes.period_s if time_ns else None
        if period_s is None:
            return PATIENCE_S
        return min(PATIENCE_S, max(LEAST_PATIENCE_S, _PERIODS * period_s))

    def _note_jump(self, moved_s: float, now_ns: int) -> None:
        passed_s = (now_ns - self._looked_ns) / SECOND
        is_first = not self._time_ns
        if not is_first and (moved_s < 0 or moved_s > _FORWARD_S + _FASTEST * passed_s):
            self._jump_s = moved_s
            self._jumps.note(now_ns)


def _judged(
    time_ns: int, still_s: float, follows_topic: bool, num_publishers: int
) -> tuple[Level, str]:
    if not follows_topic:
        return Level.OK, "the system's"
    if not still_s:
        return Level.OK, "follows /clock"
    if not num_publishers:
        cause = (
            "nobody publishes /clock; start the simulator, play the bag with its clock (bev play "
            "--clock 100, ros2 bag play --clock), or set use_sim_time to false"
        )
    else:
        cause = (
            f"{num_publishers} publish /clock, but its time does not change; is the simulator or "
            f"the player paused or at its end?"
        )
    if not time_ns:
        return Level.ERROR, f"use_sim_time is true, but no time has come: {cause}"
    return Level.WARN, f"stands still since {still_s:.1f} s: {cause}"
