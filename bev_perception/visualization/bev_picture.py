# SPDX-License-Identifier: Apache-2.0
"""The world around the vehicle seen from above: forward is up, left is left."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import BevGrid, BevOutput, ObjectBox
from bev_perception.visualization.palette import (
    EGO,
    FAINT_INK,
    HIDDEN_FILL,
    HIDDEN_LINE,
    INK,
    OTHER_FILL,
    PREDICTION,
    RIM,
    TRUTH,
    UNKNOWN_DARK,
    UNKNOWN_LIGHT,
    VEHICLE_FILL,
    Color,
    probability_colors,
)
from bev_perception.visualization.text import draw_text, shade, text_size

VISIBLE_SHARE = 0.4
"""Vehicles that cameras see less of are drawn as hidden: metrics do not count them."""

EGO_LENGTH_M, EGO_WIDTH_M, EGO_REAR_OVERHANG_M = 4.6, 1.9, 1.0
_MIN_LENGTH_WITH_HEADING_M = 1.2
_SUBPIXEL_BITS = 4
_OUTLINES = {VEHICLE_FILL: TRUTH, HIDDEN_FILL: HIDDEN_LINE, OTHER_FILL: OTHER_FILL}
"""Colour of a true box's outline by the colour that fills it."""


@dataclass(frozen=True)
class BevView:
    """Where metres of levelled base_link lie in a picture.

    Attributes:
        grid: the area shown.
        width: of the picture in pixels; its height follows from the grid.
    """

    grid: BevGrid
    width: int

    @property
    def pixels_per_metre(self) -> float:
        """Scale of the picture."""
        return self.width / (self.grid.y_max - self.grid.y_min)

    @property
    def height(self) -> int:
        """Of the picture in pixels."""
        return round(self.pixels_per_metre * (self.grid.x_max - self.grid.x_min))

    def to_pixels(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """x, y in metres (..., 2) to pixels (u, v) (..., 2), pixel centres at integers."""
        values = np.asarray(points, dtype=np.float64)
        u = (self.grid.y_max - values[..., 1]) * self.pixels_per_metre - 0.5
        v = (self.grid.x_max - values[..., 0]) * self.pixels_per_metre - 0.5
        return np.stack([u, v], axis=-1)

    def upright(self, cells: NDArray[np.generic]) -> NDArray[np.generic]:
        """A grid array (num_y, num_x, ...) as a picture (height, width, ...), cells kept sharp."""
        turned = np.ascontiguousarray(np.swapaxes(cells, 0, 1)[::-1, ::-1])
        values = turned.astype(np.uint8) if turned.dtype == bool else turned
        return cv2.resize(values, (self.width, self.height), interpolation=cv2.INTER_NEAREST)


def bev_picture(
    grid: BevGrid,
    probability: NDArray[np.float32] | None = None,
    unknown: NDArray[np.bool_] | None = None,
    truth: Iterable[ObjectBox] | None = None,
    predicted: Iterable[ObjectBox] | None = None,
    width: int = 640,
    title: str = "",
    legend: bool = True,
) -> NDArray[np.uint8]:
    """Draws what is known around the vehicle.

    With a probability map, truth and predictions are outlined on it; without one, the truth
    itself is filled in, vehicles in the colour that probability 1 has.

    Args:
        grid: extent and resolution of the arrays.
        probability: (num_y, num_x) in 0..1.
        unknown: (num_y, num_x) bool; hatched.
        truth, predicted: boxes in levelled base_link; None leaves them out of the legend.
        width: of the picture in pixels.
        title: written at the top left.
        legend: explain the colours at the bottom.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    view = BevView(grid, width)
    base = np.zeros(grid.shape, np.float32) if probability is None else probability
    canvas = np.ascontiguousarray(view.upright(probability_colors(base)))
    if unknown is not None:
        _hatch(canvas, view.upright(unknown).astype(bool))
    truth_boxes, predicted_boxes = tuple(truth or ()), tuple(predicted or ())
    _draw_rings(canvas, view)
    _draw_ego(canvas, view)
    for box in truth_boxes:
        if probability is None:
            _fill(canvas, view, box.footprint, _truth_fill(box))
        else:
            _outline(canvas, view, box, _OUTLINES[_truth_fill(box)])
    for box in predicted_boxes:
        _outline(canvas, view, box, PREDICTION)
    if title:
        draw_text(canvas, title, (8, 16), max(10.0, width / 45), INK, plate=0.6)
    if legend:
        entries = _legend_entries(
            probability is not None, unknown is not None, truth_boxes, truth, predicted
        )
        _draw_legend(canvas, entries)
    return canvas


def output_picture(
    output: BevOutput,
    truth: Iterable[ObjectBox] | None = None,
    width: int = 640,
    title: str = "prediction",
) -> NDArray[np.uint8]:
    """bev_picture of what perception says, truth in levelled base_link outlined if given."""
    return bev_picture(
        output.grid, output.probability, output.unknown, truth, output.objects, width, title
    )


def _truth_fill(box: ObjectBox) -> Color:
    if not box.is_vehicle:
        return OTHER_FILL
    return HIDDEN_FILL if box.visibility <= VISIBLE_SHARE else VEHICLE_FILL


def _hatch(canvas: NDArray[np.uint8], area: NDArray[np.bool_], period: int = 9) -> None:
    rows, columns = np.indices(area.shape)
    light = (rows + columns) % period < period // 3
    canvas[area] = UNKNOWN_DARK
    canvas[area & light] = UNKNOWN_LIGHT


def _fixed(pixels: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.round(pixels * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def _fill(
    canvas: NDArray[np.uint8], view: BevView, polygon: NDArray[np.float64], color: Color
) -> None:
    cv2.fillPoly(canvas, [_fixed(view.to_pixels(polygon))], color, cv2.LINE_AA, _SUBPIXEL_BITS)


def _outline(canvas: NDArray[np.uint8], view: BevView, box: ObjectBox, color: Color) -> None:
    """Footprint and a mark from the centre over the front."""
    shapes = [(_fixed(view.to_pixels(box.footprint)), True)]
    if box.size[0] > _MIN_LENGTH_WITH_HEADING_M:
        ends = [[box.size[0] / 4, 0.0, 0.0], [box.size[0] / 2 + 0.8, 0.0, 0.0]]
        shapes.append((_fixed(view.to_pixels(box.pose.apply(ends)[:, :2])), False))
    for ink, thickness in ((RIM, 2), (color, 1)):
        for points, closed in shapes:
            cv2.polylines(canvas, [points], closed, ink, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)


def _draw_rings(canvas: NDArray[np.uint8], view: BevView) -> None:
    reach = max(-view.grid.x_min, view.grid.x_max, -view.grid.y_min, view.grid.y_max)
    step = 10.0 if reach <= 60 else 20.0
    center = view.to_pixels(np.zeros(2))
    overlay = canvas.copy()
    radii = np.arange(step, reach + 1e-6, step)
    for radius in radii:
        size = round(radius * view.pixels_per_metre * (1 << _SUBPIXEL_BITS))
        where = tuple(int(value) for value in _fixed(center))
        cv2.circle(overlay, where, size, FAINT_INK, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
    canvas[:] = (0.45 * canvas + 0.55 * overlay).astype(np.uint8)
    height = max(8.0, view.width / 62)
    for radius in radii:
        u, v = view.to_pixels(radius * np.array([np.cos(np.pi / 4), -np.sin(np.pi / 4)]))
        if height < u < canvas.shape[1] - 3 * height and height < v < canvas.shape[0] - height:
            draw_text(canvas, f"{radius:.0f} m", (u, v), height, INK, "center", plate=0.45)


def _draw_ego(canvas: NDArray[np.uint8], view: BevView) -> None:
    rear, front, side = -EGO_REAR_OVERHANG_M, EGO_LENGTH_M - EGO_REAR_OVERHANG_M, EGO_WIDTH_M / 2
    body = np.array(
        [
            [rear, side],
            [rear, -side],
            [front - 0.6, -side],
            [front, -0.3 * side],
            [front, 0.3 * side],
            [front - 0.6, side],
        ]
    )
    _fill(canvas, view, body, RIM)
    points = [_fixed(view.to_pixels(body))]
    cv2.polylines(canvas, points, True, EGO, 1, cv2.LINE_AA, _SUBPIXEL_BITS)


def _legend_entries(
    has_probability: bool,
    has_unknown: bool,
    truth_boxes: tuple[ObjectBox, ...],
    truth: object,
    predicted: object,
) -> list[tuple[str, Color, str]]:
    """(kind, color, words) of everything that is in the picture."""
    entries: list[tuple[str, Color, str]] = []
    if has_probability:
        entries.append(("ramp", VEHICLE_FILL, "probability"))
    if truth is not None:
        fills = {VEHICLE_FILL, *(_truth_fill(box) for box in truth_boxes)}
        names = {VEHICLE_FILL: "true" if has_probability else "vehicle",
                 HIDDEN_FILL: "hidden", OTHER_FILL: "other object"}  # fmt: skip
        kind, colors = ("line", _OUTLINES) if has_probability else ("area", dict(zip(names, names)))
        entries += [(kind, colors[fill], name) for fill, name in names.items() if fill in fills]
    if predicted is not None:
        entries.append(("line", PREDICTION, "predicted"))
    if has_unknown:
        entries.append(("hatch", UNKNOWN_LIGHT, "not seen"))
    return entries


def _draw_legend(canvas: NDArray[np.uint8], entries: list[tuple[str, Color, str]]) -> None:
    height = max(8.0, canvas.shape[1] / 56)
    needed = sum(text_size(words, height)[0] + 4.4 * height for _, _, words in entries) + height
    height *= min(1.0, 0.96 * canvas.shape[1] / max(needed, 1.0))
    bar = round(2.6 * height)
    shade(canvas, 0, canvas.shape[0] - bar, canvas.shape[1], bar, 0.7)
    v, u, swatch = canvas.shape[0] - bar // 2, round(height), round(2.2 * height)
    for kind, color, words in entries:
        half = round(0.5 * height)
        area = canvas[v - half : v + half, u : u + swatch]
        if kind == "ramp":
            area[:] = probability_colors(np.tile(np.linspace(0, 1, area.shape[1]), (2 * half, 1)))
        elif kind == "area":
            area[:] = color
        elif kind == "hatch":
            _hatch(area, np.ones(area.shape[:2], bool), period=6)
        else:
            cv2.rectangle(canvas, (u, v - half), (u + swatch, v + half), color, 1, cv2.LINE_AA)
        u += swatch + round(0.6 * height)
        draw_text(canvas, words, (u, v), height)
        u += text_size(words, height)[0] + round(1.6 * height)
