# SPDX-License-Identifier: Apache-2.0
"""Which cameras' stamps disagree with those of the others, or with the clock."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from bev_perception.ros.event_stream import SECOND

AMONG_CAMERAS_S = 1.5
"""Newest stamps differ by a period and by delays, which sync_timeout_ms judges."""

AHEAD_OF_CLOCK_S = 0.25

_A_PAIR = 2
"""Of two cameras nobody can tell which one is wrong."""


def stamp_problems(stamps_ns: Mapping[str, int], clock_ns: int | None) -> dict[str, str]:
    """What is wrong with the stamps, by camera, of those where something is.

    Args:
        stamps_ns: newest stamp of each camera that sends at present, nanoseconds.
        clock_ns: of this machine; None where stamps are of another time, as with /clock.
    """
    problems: dict[str, str] = {}
    usual_ns = median(stamps_ns.values()) if len(stamps_ns) > _A_PAIR else None
    for camera, own_ns in stamps_ns.items():
        offset_s = (own_ns - usual_ns) / SECOND if usual_ns is not None else 0.0
        ahead_s = (own_ns - clock_ns) / SECOND if clock_ns is not None else 0.0
        if abs(offset_s) > AMONG_CAMERAS_S:
            side = "ahead of" if offset_s > 0 else "behind"
            problems[camera] = (
                f"its stamps are {abs(offset_s):.1f} s {side} the other cameras'; compare the "
                f"clocks that stamp them"
            )
        elif ahead_s > AHEAD_OF_CLOCK_S:
            problems[camera] = (
                f"its stamps are {ahead_s:.1f} s ahead of this machine's clock; synchronise the "
                f"clocks (PTP, chrony), or set use_sim_time where /clock is published"
            )
    return problems
