# SPDX-License-Identifier: Apache-2.0
"""What an ablation found: a table in Markdown, and bars of the differences to the recipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes

COLUMNS = {
    "iou": "IoU ±25 m",
    "best_iou": "at best threshold",
    "center_ap": "centre AP",
    "ece": "ECE",
    "kept_known_pitch": "kept, pitch 3° known",
    "kept_untold_pitch": "kept, pitch 2° untold",
    "kept_camera_lost": "kept, worst camera lost",
}
"""Titles of Run.values."""

BARS = ("iou", "center_ap", "kept_untold_pitch", "kept_camera_lost")
SHADES = ("#4c72b0", "#8da9d4")
"""Of groups in turns."""


@dataclass(frozen=True)
class Row:
    """The networks of a change.

    Attributes:
        group, name: of the change; the recipe itself has no group.
        options: that are changed.
        values: of each seed, see ablation.Run.values.
    """

    group: str
    name: str
    options: dict[str, Any]
    values: list[dict[str, Any]]

    def of(self, key: str) -> list[float]:
        """The values of the seeds that have one."""
        return [each[key] for each in self.values if each[key] is not None]

    def mean(self, key: str) -> float | None:
        """Over seeds, None where no seed has a value."""
        values = self.of(key)
        return float(np.mean(values)) if values else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        facts = {"group": self.group, "name": self.name, "options": self.options}
        return {**facts, "mean": {key: self.mean(key) for key in COLUMNS}, "seeds": self.values}


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Lines of Markdown, the recipe first; means over seeds, ± half of what they span."""
    base = rows[0]
    headings = ["changed", "to", *COLUMNS.values(), "IoU − recipe's", "s/step", "parameters"]
    yield "| " + " | ".join(headings) + " |"
    yield "|---" * len(headings) + "|"
    group = ""
    for row in rows:
        first = row.group if row.group != group else ""
        group = row.group
        shown = [_shown(row, key) for key in COLUMNS]
        difference = "" if row is base else f"{100 * _difference(row, base, 'iou'):+.1f} points"
        seconds = row.mean("seconds_per_step")
        cost = "-" if seconds is None else f"{seconds:.2f}"
        parameters = f"{row.values[0]['parameters'] / 1e3:.0f} k"
        yield "| " + " | ".join([first, row.name, *shown, difference, cost, parameters]) + " |"


def conditions(rows: Sequence[Row], recipe: str) -> Iterator[str]:
    """Lines below the table."""
    first, seeds = rows[0].values[0], len(rows[0].values)
    yield (
        f"{recipe}, {first['steps']} steps each; judged on {first['sets']} sets, what is kept on "
        f"{first['retention_sets']}; {seeds} seeds of the recipe itself"
    )


def draw(rows: Sequence[Row], path: Path) -> None:
    """Differences to the recipe in points, one panel per measure, seeds as dots."""
    base, changed = rows[0], rows[1:]
    size = (3.0 * len(BARS) + 4.0, 0.27 * len(changed) + 1.6)
    figure, panels = pyplot.subplots(1, len(BARS), figsize=size, dpi=120, sharey=True)
    for key, axes in zip(BARS, panels):
        _draw_panel(axes, key, base, changed)
    panels[0].set_yticks(range(len(changed)), [_label(row) for row in changed], fontsize=8)
    panels[0].invert_yaxis()
    seeds = len(base.values)
    figure.suptitle(
        f"difference to the recipe, points; grey: {seeds} seeds of the recipe itself", fontsize=10
    )
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def _draw_panel(axes: Axes, key: str, base: Row, changed: Sequence[Row]) -> None:
    center = float(np.mean(base.of(key)))
    spread = [100.0 * (value - center) for value in base.of(key)]
    axes.axvspan(min(spread), max(spread), color="0.8", zorder=0)
    axes.axvline(0.0, color="0.4", linewidth=0.8)
    shade, group = 0, None
    for place, row in enumerate(changed):
        shade += row.group != group
        group = row.group
        points = [100.0 * (value - center) for value in row.of(key)]
        if not points:
            continue
        axes.barh(place, np.mean(points), height=0.7, color=SHADES[shade % len(SHADES)])
        if len(points) > 1:
            axes.plot(points, [place] * len(points), "k.", markersize=4)
    axes.set_title(f"{COLUMNS[key]}\n(recipe {center:.3f})", fontsize=9)
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", alpha=0.3)


def _label(row: Row) -> str:
    """ "images: 96 x 144": what the recipe has is said elsewhere."""
    return f"{row.group.partition(' (')[0]}: {row.name}"


def _difference(row: Row, base: Row, key: str) -> float:
    return float(np.mean(row.of(key))) - float(np.mean(base.of(key)))


def _shown(row: Row, key: str) -> str:
    values = row.of(key)
    digits = 4 if key == "ece" else 3
    if not values:
        return "-"
    text = f"{np.mean(values):.{digits}f}"
    spans = len(values) > 1
    return f"{text} ± {(max(values) - min(values)) / 2:.{digits}f}" if spans else text
