# SPDX-License-Identifier: Apache-2.0
"""Whether a node's memory or latency grows, from the windows of a soak, and a table of them.

Trends are Theil-Sen slopes (the median of the slopes of all pairs) with their 95 % interval: a
few windows in which another process was busy, or a fault made a buffer large, move them little.
Latency is first freed of what its windows' waiting for a processor explains, by the same kind of
slope: a machine that gets busier during the run is not the node's growth. Memory is judged
without the tap tables that the node keeps, which are judged by their limit: they fill it with the
attitudes and missing cameras that come by, however long that takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import theilslopes

from bev_perception.perception.calibration import KEPT_BYTES

WARM_UP_SHARE = 0.25
"""Of the run, that is not judged: the allocator's arenas and the middleware's shared segments fill
only as faults come by."""

LEAST_WINDOWS = 6
GROWTH_MB = 10.0
LATENCY_SHARE = 0.2
LATENCY_MS = 5.0
"""Latency may grow by the larger of the two."""

MEMORY = ("own_mb", "pss_mb")
"""What is judged, the first that is known: the process's own memory, or also its part of others."""

TABLES_MB = KEPT_BYTES / 1e6
COUNT_GROWTH = 3.0
"""Threads or open files."""

HOUR_S = 3600.0

Window = Mapping[str, Any]


@dataclass(frozen=True)
class Trend:
    """Of one quantity over the judged windows.

    Attributes:
        begin, end: median of the first and of the last quarter of the judged windows.
        per_hour, low, high: slope and its 95 % interval, per hour.
        growth: slope times the judged time.
        allowed: growth up to this is none.
        ok: growth is within that, or the interval holds zero.
    """

    begin: float
    end: float
    per_hour: float
    low: float
    high: float
    growth: float
    allowed: float
    ok: bool


def trend(times_s: NDArray[np.float64], values: NDArray[np.float64], allowed: float) -> Trend:
    """Theil-Sen's slope of values over times.

    Raises:
        ValueError: there are fewer than two values.
    """
    slope, _, low, high = theilslopes(values, times_s, 0.95)
    growth = float(slope) * float(times_s[-1] - times_s[0])
    quarters = np.array_split(values, 4) if len(values) >= 4 else [values[:1], values[-1:]]
    return Trend(
        begin=float(np.median(quarters[0])),
        end=float(np.median(quarters[-1])),
        per_hour=float(slope) * HOUR_S,
        low=float(low) * HOUR_S,
        high=float(high) * HOUR_S,
        growth=growth,
        allowed=allowed,
        ok=bool(growth <= allowed or low <= 0.0),
    )


def judged_windows(windows: Sequence[Window]) -> list[Window]:
    """Those after the warm-up."""
    if not windows:
        return []
    from_s = WARM_UP_SHARE * windows[-1]["t"]
    return [window for window in windows if window["t"] >= from_s]


def verdict(windows: Sequence[Window], growth_mb: float = GROWTH_MB) -> dict[str, Any]:
    """Trends by name (memory, latency, threads, files) as plain values, and ``ok`` of all.

    Args:
        windows: of SoakSamples.
        growth_mb: memory may grow by so much.

    Raises:
        ValueError: fewer than LEAST_WINDOWS windows after the warm-up hold a grid.
    """
    judged = [window for window in judged_windows(windows) if "total" in window["latency_ms"]]
    if len(judged) < LEAST_WINDOWS:
        raise ValueError(
            f"{len(judged)} windows with grids after the warm-up, at least {LEAST_WINDOWS} are "
            f"needed; run longer, or look at the node's log"
        )
    times_s = np.array([window["t"] for window in judged])
    memory = next(
        values
        for values in (_values(judged, key) for key in (*MEMORY, "rss_mb"))
        if np.isfinite(values).all()
    )
    latency = np.array([window["latency_ms"]["total"][0] for window in judged])
    waiting = np.array([window["waiting_percent"] for window in judged])
    allowed_ms = max(LATENCY_MS, LATENCY_SHARE * float(np.median(latency)))
    trends = {
        "memory_mb": trend(times_s, memory - _tables_mb(judged), growth_mb),
        "latency_ms": trend(times_s, without(latency, waiting), allowed_ms),
        "threads": trend(times_s, _values(judged, "threads"), COUNT_GROWTH),
        "files": trend(times_s, _values(judged, "files"), COUNT_GROWTH),
    }
    most_mb = float(_tables_mb(windows).max())
    return {name: asdict(found) for name, found in trends.items()} | {
        "tables_mb": most_mb,
        "ok": all(found.ok for found in trends.values()) and most_mb <= TABLES_MB,
    }


def without(values: NDArray[np.float64], cause: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values less what they rise with a cause, from the cause's median on."""
    if np.ptp(cause) == 0.0:
        return values
    slope = max(0.0, float(theilslopes(values, cause)[0]))
    return values - slope * (cause - float(np.median(cause)))


def table(soak: Mapping[str, Any]) -> str:
    """The run as Markdown tables.

    Args:
        soak: what benchmarks/soak.py writes.
    """
    windows, found = soak["windows"], soak["verdict"]
    judged = judged_windows(windows)
    drops: Counter[str] = Counter()
    for window in windows:
        drops.update(window["drops"])
    relayed = soak["relayed"].get("image", 0)
    grids = sum(window["grids"] for window in windows)
    lines = [
        f"{soak['seconds'] / 60.0:.1f} minutes, {relayed} images relayed, {grids} grids, "
        f"{len(soak['faults'])} faults of {len({f['fault'] for f in soak['faults']})} kinds, "
        f"{soak['players_killed']} players killed, {soak['pauses']} pauses of the node; "
        f"the clock jumped back {soak['clock_jumps']} times; "
        f"{soak['machine']}.",
        "",
        "| | first quarter | last quarter | per hour (95 %) | growth, allowed | |",
        "|---|---|---|---|---|---|",
    ]
    names = {
        "memory_mb": (
            f"memory ({'anonymous' if 'own_mb' in windows[0] else 'PSS'}, tap tables apart), MB"
        ),
        "latency_ms": "latency `total`, median, at equal waiting for processors, ms",
        "threads": "threads",
        "files": "open files",
    }
    for key, name in names.items():
        entry = found[key]
        lines.append(
            f"| {name} | {entry['begin']:.1f} | {entry['end']:.1f} | {entry['per_hour']:+.2f} "
            f"({entry['low']:+.2f} to {entry['high']:+.2f}) | {entry['growth']:+.2f}, "
            f"{entry['allowed']:.1f} | {'does not grow' if entry['ok'] else 'GROWS'} |"
        )
    lines += [
        "",
        f"Tap tables took at most {found['tables_mb']:.1f} MB; their limit is {TABLES_MB:.1f} MB. "
        f"With them the node's memory was at most {_values(judged, 'own_mb').max():.1f} MB.",
    ]
    lines += ["", "| latency, ms | median | p95 | p99 | worst |", "|---|---|---|---|---|"]
    for stage in ("engine", "node", "total"):
        rows = np.array([w["latency_ms"][stage] for w in judged if stage in w["latency_ms"]])
        middle = np.median(rows, axis=0)
        lines.append(
            f"| `{stage}`, median over windows (worst: of all) | {middle[0]:.1f} | "
            f"{middle[1]:.1f} | {middle[2]:.1f} | {rows[:, 3].max():.1f} |"
        )
    lines += ["", "| dropped | |", "|---|---|"]
    lines += [f"| {cause} | {count} |" for cause, count in drops.most_common(12)]
    ending = "well again" if soak["recovered"] else f"NOT well: {soak['troubles']}"
    return "\n".join([*lines, "", f"After the last fault the node was {ending}."])


def _tables_mb(windows: Sequence[Window]) -> NDArray[np.float64]:
    return np.nan_to_num(_values(windows, "tables_mb"))


def _values(windows: Sequence[Window], key: str) -> NDArray[np.float64]:
    return np.array([window.get(key, np.nan) for window in windows], dtype=np.float64)
