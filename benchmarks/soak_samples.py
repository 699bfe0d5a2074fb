# SPDX-License-Identifier: Apache-2.0
"""What a soak notes of a node again and again: one window after the other, as plain values."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from node_observer import NodeObserver
from process_usage import MEGABYTE, ProcessUsage

KIBIBYTE = 1024
PERCENTILES = (50, 95, 99, 100)


class SoakSamples:
    """Windows of a node's memory, processor time, latencies, grids and drops.

    Args:
        pid: of the node.
        observer: of its topics; what it has seen is forgotten with every window.
        start_s: monotonic time from which windows count.

    Attributes:
        windows: of every window its end ``t`` (seconds since the start), ``rss_mb``, ``pss_mb``,
            ``own_mb`` (anonymous memory; the rest is files and images that the middleware shares),
            ``tables_mb`` (of it, the tap tables that the node keeps up to a limit), ``threads``,
            ``files``, ``grids``, ``cpu_ms_per_grid``, ``waiting_percent`` (time that its threads
            waited for a processor), ``latency_ms`` (p50, p95, p99, max by stage), ``drops`` (of
            this window, by cause).
    """

    def __init__(self, pid: int, observer: NodeObserver, start_s: float) -> None:
        self._usage = ProcessUsage(pid)
        self._observer = observer
        self._start_s = start_s
        self._drops: Counter[str] = Counter()
        self.windows: list[dict[str, Any]] = []
        self.begin()

    def begin(self) -> None:
        """Forgets what came before the first window."""
        self._observer.begin()
        self._drops = Counter()
        self._usage.sample()

    def end_window(self) -> None:
        """Notes the window that ends now."""
        observer, usage = self._observer, self._usage
        usage.sample()
        grids = observer.outputs["occupancy_grid"]
        drops = observer.total_drops
        seconds = usage.seconds[-1] - usage.seconds[-2]
        memory = memory_mb(usage.pid)
        self.windows.append(
            {
                "t": round(time.monotonic() - self._start_s, 3),
                "rss_mb": round(usage.rss_mb[-1], 3),
                "pss_mb": round(memory.get("Pss", float("nan")), 3),
                "own_mb": round(memory.get("Pss_Anon", float("nan")), 3),
                "tables_mb": observer.tables_mb,
                "threads": len(list(Path(f"/proc/{usage.pid}/task").iterdir())),
                "files": len(list(Path(f"/proc/{usage.pid}/fd").iterdir())),
                "grids": grids,
                "cpu_ms_per_grid": _rounded(
                    1e3 * (usage.cpu_s[-1] - usage.cpu_s[-2]) / max(1, grids)
                ),
                "waiting_percent": _rounded(
                    100.0 * (usage.delay_s[-1] - usage.delay_s[-2]) / seconds
                ),
                "latency_ms": {
                    stage: [_rounded(value) for value in np.percentile(values, PERCENTILES)]
                    for stage, values in observer.latencies_ms.items()
                    if values
                },
                "drops": dict(drops - self._drops) if self.windows else {},
            }
        )
        self._drops = drops
        observer.begin()


def memory_mb(pid: int) -> dict[str, float]:
    """Memory of a process by the kernel's names, what it shares divided by those that share it.

    Empty where the kernel does not tell.
    """
    found = {}
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, _, value = line.partition(":")
            found[name] = int(value.split()[0]) * KIBIBYTE / MEGABYTE
    return found


def _rounded(value: float) -> float:
    return round(float(value), 2)
