# SPDX-License-Identifier: Apache-2.0
"""Memory and processor time of processes and of the machine, from /proc."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

MEGABYTE = 1e6


@dataclass
class ProcessUsage:
    """Samples of a running process.

    Attributes:
        pid: of the process.
        seconds, rss_mb, cpu_s, delay_s: of every sample: monotonic time, resident memory,
            processor time of all its threads since its start, and how long they waited for a
            processor because others had them all.
    """

    pid: int
    seconds: list[float] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    delay_s: list[float] = field(default_factory=list)

    def sample(self) -> None:
        """Adds one."""
        folder = Path("/proc") / str(self.pid)
        pages = int((folder / "statm").read_text().split()[1])
        after_name = (folder / "stat").read_text().rpartition(")")[2].split()
        ticks = int(after_name[11]) + int(after_name[12])  # utime, stime
        self.seconds.append(time.monotonic())
        self.rss_mb.append(pages * os.sysconf("SC_PAGE_SIZE") / MEGABYTE)
        self.cpu_s.append(ticks / os.sysconf("SC_CLK_TCK"))
        self.delay_s.append(sum(_delays_s(folder)))

    @property
    def cpu_percent(self) -> float:
        """Of one processor, between the first sample and the last."""
        return self._percent(self.cpu_s)

    @property
    def delay_percent(self) -> float:
        """Time spent waiting for a processor, likewise; of all threads together."""
        return self._percent(self.delay_s)

    @property
    def late_growth_mb(self) -> float:
        """By how much the median of the last quarter exceeds that of the second quarter.

        The first quarter may still fill caches and buffers.
        """
        quarters = np.array_split(self.rss_mb, 4)
        return float(np.median(quarters[3]) - np.median(quarters[1]))

    @property
    def late_slope_mb_per_min(self) -> float:
        """Of a line through the last three quarters."""
        first = len(self.seconds) // 4
        return 60.0 * float(np.polyfit(self.seconds[first:], self.rss_mb[first:], 1)[0])

    def _percent(self, times_s: list[float]) -> float:
        return 100.0 * (times_s[-1] - times_s[0]) / (self.seconds[-1] - self.seconds[0])


@dataclass
class MachineUsage:
    """How busy all processors are, sampled together with some processes' usage.

    Attributes:
        busy_s: processor time of everything since the machine's start, of every sample.
    """

    busy_s: list[float] = field(default_factory=list)

    def sample(self) -> None:
        """Adds one."""
        ticks = [int(value) for value in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        idle, waiting = ticks[3], ticks[4]
        self.busy_s.append((sum(ticks) - idle - waiting) / os.sysconf("SC_CLK_TCK"))

    def percent_of_others(self, usages: Iterable[ProcessUsage]) -> float:
        """Processor time that is none of theirs, in percent of one processor."""
        ours = list(usages)
        own_s = sum(usage.cpu_s[-1] - usage.cpu_s[0] for usage in ours)
        duration_s = ours[0].seconds[-1] - ours[0].seconds[0]
        return 100.0 * (self.busy_s[-1] - self.busy_s[0] - own_s) / duration_s


def _delays_s(folder: Path) -> Iterator[float]:
    """Of the threads that live; nothing where the kernel does not tell."""
    for task in (folder / "task").iterdir():
        with suppress(OSError):
            yield int((task / "schedstat").read_text().split()[1]) * 1e-9
