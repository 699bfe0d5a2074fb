# SPDX-License-Identifier: Apache-2.0
"""Why an input that sets can do without says nothing."""

from __future__ import annotations

from bev_perception.ros.event_stream import EventStream

_STOPPED_S, _STOPPED_PERIODS = 0.6, 5.0


def silence(came: EventStream, topic: str, without: str, hint: str) -> str:
    """In words; "" while messages come.

    Args:
        came: the messages, advanced to the present.
        topic: of theirs.
        without: what becomes of sets meanwhile.
        hint: what to check where none has ever come.
    """
    silent_s = came.silent_s
    if silent_s is None:
        return f"nothing has come on {topic} yet, {without}; {hint}"
    if silent_s > max(_STOPPED_S, _STOPPED_PERIODS * (came.period_s or 0.0)):
        return f"nothing on {topic} for {silent_s:.1f} s, {without}"
    return ""
