# SPDX-License-Identifier: Apache-2.0
"""Whether leaving the earliest frames of a set alone makes the set behind them narrower in time."""

from __future__ import annotations

from collections.abc import Sequence

from bev_perception.perception.camera_stream import CameraStream
from bev_perception.perception.synchronized_set import Frame


def narrower(streams: Sequence[CameraStream[Frame]]) -> tuple[int, float]:
    """How many of the earliest frames should stay alone, and the width of what follows.

    The rival of the first m: their next frames together with the rest.

    Args:
        streams: of the cameras of a set, by the stamps of their heads.

    Returns:
        m, 0 where the set is as narrow as any, and nanoseconds.
    """
    latest_ns: float = streams[-1].head_ns
    best, best_ns = 0, latest_ns - streams[0].head_ns
    for count in range(1, len(streams)):
        latest_ns = max(latest_ns, streams[count - 1].next_ns)
        width_ns = latest_ns - streams[count].head_ns
        if width_ns < best_ns:
            best, best_ns = count, width_ns
    return best, best_ns
