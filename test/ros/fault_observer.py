# SPDX-License-Identifier: Apache-2.0
"""What comes out of a perception node, and when."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from ros_client import Client

LASTING = "memory was short"
SETTLED_GRIDS = 5

Report = dict[str, tuple[int, str]]
"""Level and message by part of the node."""


@dataclass(frozen=True)
class HeardGrid:
    """One grid.

    Attributes:
        at_s: of arrival, steady seconds.
        age_s: from its stamp to its arrival, by the clock that stamps are of.
        unknown: cells that no camera sees.
    """

    at_s: float
    age_s: float
    unknown: int


class FaultObserver:
    """Subscribes to grids and diagnostics of a node.

    Args:
        client: that listens.
        node: name of the node.
        now_ns: the time that stamps are of.

    Attributes:
        grids: all, in order of arrival.
        reports: (steady seconds of arrival, what the node said of itself).
    """

    def __init__(self, client: Client, node: str, now_ns: Any = time.time_ns) -> None:
        from diagnostic_msgs.msg import DiagnosticArray
        from nav_msgs.msg import OccupancyGrid

        self.grids: list[HeardGrid] = []
        self.reports: list[tuple[float, Report]] = []
        self._prefix = f"{node}: "
        self._now_ns = now_ns
        client.node.create_subscription(
            OccupancyGrid, f"/{node}/occupancy_grid", self._hear_grid, 50
        )
        client.node.create_subscription(DiagnosticArray, "/diagnostics", self._hear_report, 50)

    @property
    def usual_unknown(self) -> int:
        """Unknown cells of most grids so far: those of all cameras."""
        return Counter(grid.unknown for grid in self.grids).most_common(1)[0][0]

    def is_well(self) -> bool:
        """Whether grids come, and the newest report is of nothing but OK.

        A network that makes do with less memory for good is well, too.
        """
        if not self.reports or not self.grids or time.monotonic() - self.grids[-1].at_s > 0.5:
            return False
        newest = self.reports[-1][1].values()
        return all(level == 0 or LASTING in text for level, text in newest)

    def is_settled(self) -> bool:
        """Whether it is well, and several grids have come alike: their unknown cells are usual."""
        newest = [grid.unknown for grid in self.grids[-SETTLED_GRIDS:]]
        return self.is_well() and len(newest) == SETTLED_GRIDS and len(set(newest)) == 1

    def _hear_grid(self, message: Any) -> None:
        stamp_ns = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
        unknown = int((np.asarray(message.data, dtype=np.int8) < 0).sum())
        age_s = (self._now_ns() - stamp_ns) / 1e9
        self.grids.append(HeardGrid(time.monotonic(), age_s, unknown))

    def _hear_report(self, message: Any) -> None:
        if message.status and message.status[0].name.startswith(self._prefix):
            report = {
                status.name.removeprefix(self._prefix): (status.level[0], status.message)
                for status in message.status
            }
            self.reports.append((time.monotonic(), report))
