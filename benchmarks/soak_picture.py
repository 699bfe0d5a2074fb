# SPDX-License-Identifier: Apache-2.0
"""A soak as one picture: memory, latency, grids and drops over time, faults as ticks below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from soak_verdict import WARM_UP_SHARE

from bev_perception.visualization.palette import FAINT_INK, INK, PAPER, Color
from bev_perception.visualization.text import draw_text

WIDTH, PANEL_HEIGHT = 1200, 190
LEFT, RIGHT, TOP, BOTTOM = 78, 20, 34, 26
FAULTS_HEIGHT = 56
BLUE: Color = (86, 180, 233)
ORANGE: Color = (255, 138, 30)
GREEN: Color = (0, 200, 140)
YELLOW: Color = (240, 228, 66)
RULE: Color = (48, 54, 66)
WARM: Color = (30, 34, 44)
TICKS = 4


@dataclass(frozen=True)
class Line:
    """Values over the windows' times, NaN where there are none."""

    name: str
    values: Sequence[float]
    color: Color


def soak_picture(soak: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Draws a run.

    Args:
        soak: what benchmarks/soak.py writes.

    Returns:
        (height, WIDTH, 3) uint8 RGB.
    """
    windows = soak["windows"]
    times = [window["t"] / 60.0 for window in windows]
    lengths = np.diff([0.0, *(window["t"] for window in windows)])
    rates = [window["grids"] / length for window, length in zip(windows, lengths)]
    drops = [sum(window["drops"].values()) / n for window, n in zip(windows, lengths)]
    panels = [
        _panel(
            "memory of the node, MB",
            times,
            [
                Line("resident", [window["rss_mb"] for window in windows], BLUE),
                Line("proportional", [window["pss_mb"] for window in windows], ORANGE),
                Line("anonymous", [window.get("own_mb", np.nan) for window in windows], GREEN),
                Line(
                    "less tap tables",
                    [w.get("own_mb", np.nan) - w.get("tables_mb", 0.0) for w in windows],
                    YELLOW,
                ),
            ],
            from_zero=False,
        ),
        _panel(
            "latency from the newest image to all published, ms",
            times,
            [
                Line("p99", [_latency(window, 2) for window in windows], YELLOW),
                Line("p95", [_latency(window, 1) for window in windows], ORANGE),
                Line("median", [_latency(window, 0) for window in windows], BLUE),
            ],
        ),
        _panel(
            "processor time per grid, ms; waiting for a processor, percent",
            times,
            [
                Line("waiting", [window["waiting_percent"] for window in windows], ORANGE),
                Line("processor", [window["cpu_ms_per_grid"] for window in windows], BLUE),
            ],
        ),
        _panel(
            "grids, and drops of images and sets, per second",
            times,
            [Line("drops", drops, ORANGE), Line("grids", rates, GREEN)],
        ),
        _faults(soak["faults"], times[-1] if times else 0.0),
    ]
    return np.concatenate(panels)


def _panel(
    title: str, times: Sequence[float], lines: Sequence[Line], from_zero: bool = True
) -> NDArray[np.uint8]:
    canvas = np.full((PANEL_HEIGHT, WIDTH, 3), PAPER, np.uint8)
    high_t = max(times[-1], 1e-6)
    values = np.array([line.values for line in lines], dtype=np.float64)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if from_zero:
        low = 0.0
    margin = 0.05 * (high - low) or 1.0
    low, high = low if from_zero else low - margin, high + margin
    width, height = WIDTH - LEFT - RIGHT, PANEL_HEIGHT - TOP - BOTTOM
    warm = LEFT + round(WARM_UP_SHARE * width)
    canvas[TOP : TOP + height, LEFT:warm] = WARM
    for value in _ticks(low, high):
        v = TOP + round((high - value) / (high - low) * height)
        canvas[v, LEFT : LEFT + width] = RULE
        draw_text(canvas, f"{value:g}", (LEFT - 8, v), 9.0, FAINT_INK, "right")
    for value in _ticks(0.0, high_t):
        u = LEFT + round(value / high_t * width)
        canvas[TOP : TOP + height, u : u + 1] = RULE
        anchor = "right" if u > WIDTH - 3 * RIGHT else "center"
        draw_text(canvas, f"{value:g} min", (u, PANEL_HEIGHT - 12), 9.0, FAINT_INK, anchor)
    draw_text(canvas, title, (LEFT, 16), 11.0, INK)
    for number, line in enumerate(lines):
        own = np.array(line.values, dtype=np.float64)
        kept = np.isfinite(own)
        u = LEFT + np.array(times)[kept] / high_t * width
        v = TOP + (1.0 - (own[kept] - low) / (high - low)) * height
        points = np.round(np.stack([u, v], axis=-1) * 16).astype(np.int32)
        cv2.polylines(canvas, [points], False, line.color, 1, cv2.LINE_AA, 4)
        at = (WIDTH - RIGHT - 110 * (len(lines) - 1 - number), 16)
        draw_text(canvas, line.name, at, 10.0, line.color, "right")
    return canvas


def _ticks(low: float, high: float) -> NDArray[np.float64]:
    """Round numbers between two others, about TICKS."""
    raw = (high - low) / TICKS
    power = 10.0 ** np.floor(np.log10(raw))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= raw)
    values: NDArray[np.float64] = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    return values.round(9)


def _faults(faults: Sequence[Mapping[str, Any]], minutes: float) -> NDArray[np.uint8]:
    canvas = np.full((FAULTS_HEIGHT, WIDTH, 3), PAPER, np.uint8)
    kinds = len({fault["fault"] for fault in faults})
    draw_text(canvas, f"{len(faults)} faults of {kinds} kinds", (LEFT, 14), 11.0, INK)
    scale = (WIDTH - LEFT - RIGHT) / max(60.0 * minutes, 1e-6)
    for fault in faults:
        begin = LEFT + round(fault["begin"] * scale)
        end = min(max(begin + 1, LEFT + round(fault["end"] * scale)), WIDTH - RIGHT)
        canvas[28:46, begin:end] = ORANGE
    return canvas


def _latency(window: Mapping[str, Any], index: int) -> float:
    row = window["latency_ms"].get("total")
    return float("nan") if row is None else float(row[index])
