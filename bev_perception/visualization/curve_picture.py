# SPDX-License-Identifier: Apache-2.0
"""Curves over a square from 0 to 1 in the colours of the other pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.visualization.palette import FAINT_INK, INK, PAPER, Color
from bev_perception.visualization.text import draw_text

_MARGIN_LEFT, _MARGIN_RIGHT, _MARGIN_TOP, _MARGIN_BOTTOM = 64, 18, 40, 52
_TICKS = np.linspace(0.0, 1.0, 6)
_GRID: Color = (48, 54, 66)
_SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class Curve:
    """Points joined in their order; those with a NaN are left out.

    Attributes:
        name: for the legend, ASCII.
        x, y: (n,) in 0..1.
        color: RGB.
        marked: draw a dot at every point.
    """

    name: str
    x: Sequence[float | None] | NDArray[np.float64]
    y: Sequence[float | None] | NDArray[np.float64]
    color: Color
    marked: bool = False


def curve_picture(
    title: str,
    x_label: str,
    y_label: str,
    curves: Sequence[Curve],
    diagonal: bool = False,
    size: tuple[int, int] = (620, 480),
) -> NDArray[np.uint8]:
    """Draws curves with axes and a legend.

    Args:
        title: above; x_label and y_label: of the axes, ASCII.
        curves: see Curve.
        diagonal: also draw the line from (0, 0) to (1, 1); the legend goes above it.
        size: (width, height) of the picture in pixels.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    width, height = size
    canvas = np.full((height, width, 3), PAPER, np.uint8)
    _draw_axes(canvas, title, x_label, y_label)
    if diagonal:
        _draw_line(canvas, np.array([[0.0, 0.0], [1.0, 1.0]]), FAINT_INK)
    for number, curve in enumerate(curves):
        points = np.stack([np.array(curve.x, float), np.array(curve.y, float)], axis=-1)
        points = points[np.isfinite(points).all(axis=-1)]
        _draw_line(canvas, points, curve.color, thickness=2)
        for u, v in _pixels(canvas, points) if curve.marked else ():
            cv2.circle(canvas, (round(u), round(v)), 4, curve.color, -1, cv2.LINE_AA)
        below = 20 * (len(curves) - number) + 6 - (height - _MARGIN_BOTTOM)
        v = _MARGIN_TOP + 16 + 20 * number if diagonal else -below
        draw_text(canvas, curve.name, (_MARGIN_LEFT + 12, v), 11.0, curve.color, plate=0.75)
    return canvas


def _draw_axes(canvas: NDArray[np.uint8], title: str, x_label: str, y_label: str) -> None:
    height, width = canvas.shape[:2]
    for tick in _TICKS.tolist():
        _draw_line(canvas, np.array([[tick, 0.0], [tick, 1.0]]), _GRID)
        _draw_line(canvas, np.array([[0.0, tick], [1.0, tick]]), _GRID)
        (u, low), (left, v) = _pixels(canvas, np.array([[tick, 0.0], [0.0, tick]]))
        draw_text(canvas, f"{tick:.1f}", (u, low + 14), 10.0, FAINT_INK, "center")
        draw_text(canvas, f"{tick:.1f}", (left - 8, v), 10.0, FAINT_INK, "right")
    middle = (_MARGIN_LEFT + width - _MARGIN_RIGHT) / 2
    draw_text(canvas, title, (middle, 18), 13.0, INK, "center")
    draw_text(canvas, x_label, (middle, height - 12), 11.0, INK, "center")
    _draw_upright_text(canvas, y_label)


def _draw_upright_text(canvas: NDArray[np.uint8], text: str) -> None:
    """Beside the vertical axis, read from below."""
    strip = np.full((24, canvas.shape[0], 3), PAPER, np.uint8)
    middle = canvas.shape[0] - (_MARGIN_TOP + canvas.shape[0] - _MARGIN_BOTTOM) / 2
    draw_text(strip, text, (middle, 12), 11.0, INK, "center")
    canvas[:, :24] = np.rot90(strip)


def _draw_line(
    canvas: NDArray[np.uint8], points: NDArray[np.float64], color: Color, thickness: int = 1
) -> None:
    fixed = np.round(_pixels(canvas, points) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    cv2.polylines(canvas, [fixed], False, color, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)


def _pixels(canvas: NDArray[np.uint8], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """x, y in 0..1 (n, 2) to pixels (n, 2)."""
    height, width = canvas.shape[:2]
    u = _MARGIN_LEFT + points[:, 0] * (width - _MARGIN_LEFT - _MARGIN_RIGHT)
    v = height - _MARGIN_BOTTOM - points[:, 1] * (height - _MARGIN_TOP - _MARGIN_BOTTOM)
    return np.stack([u, v], axis=-1)
