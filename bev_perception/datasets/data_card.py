# SPDX-License-Identifier: Apache-2.0
"""The card of a data set: what one should know before training on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from bev_perception.datasets.box_counts import add_counts
from bev_perception.errors import DatasetError

NANOSECONDS = 1_000_000_000


def make_card(
    drives: Mapping[str, Mapping[str, Any]], splits: Mapping[str, str], licence: str
) -> dict[str, Any]:
    """Plain values about a whole data set and each of its splits.

    Args:
        drives: drive.json by name.
        splits: of the drives that hold sets.
        licence: of the data, perhaps empty.

    Raises:
        DatasetError: a drive.json that an earlier run left is damaged.
    """
    try:
        return _card(drives, splits, licence)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        names = ", ".join(name[:60] for name in list(drives)[:20])
        raise DatasetError(
            f"drive.json of one of the drives {names} is damaged ({str(error)[:200]}); delete its "
            f"folder and extract again"
        ) from error


def _card(
    drives: Mapping[str, Mapping[str, Any]], splits: Mapping[str, str], licence: str
) -> dict[str, Any]:
    with_sets = {name: drive for name, drive in drives.items() if drive["sets"]}
    return {
        "licence": licence or "not stated",
        "drives_refused": sorted(name for name in drives if name not in with_sets),
        "all": _facts(with_sets.values()),
        "splits": {
            split: _facts(drive for name, drive in with_sets.items() if splits[name] == split)
            for split in sorted(set(splits.values()))
        },
    }


def card_text(card: Mapping[str, Any], title: str) -> str:
    """The card as Markdown."""
    columns = {"all": card["all"], **card["splits"]}
    lines = [f"# {title}", "", f"Licence of the data: {card['licence']}", ""]
    lines += _table("", columns, ("drives", "sets", "images", "boxes", "hours", "kilometres"))
    for heading, group in (
        ("Boxes by class", "classes"),
        ("Boxes by distance (m)", "distance_m"),
        ("Boxes by visibility", "visibility"),
        ("Drives by town", "towns"),
        ("Drives by weather", "weathers"),
        ("Drives by rig", "rigs"),
    ):
        names = list(columns["all"][group])
        lines += ["", f"## {heading}", ""]
        lines += _table("", {name: facts[group] for name, facts in columns.items()}, names)
    if card["drives_refused"]:
        lines += ["", "## Refused", "", *(f"- {name}" for name in card["drives_refused"])]
    return "\n".join(lines) + "\n"


def _facts(drives: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    found = list(drives)
    boxes = add_counts(drive["boxes"] for drive in found)
    spans = [drive["last_stamp_ns"] - drive["first_stamp_ns"] for drive in found]
    return {
        "drives": len(found),
        "sets": sum(drive["sets"] for drive in found),
        "images": sum(drive["images"] for drive in found),
        "boxes": sum(boxes["classes"].values()),
        "hours": round(sum(spans) / NANOSECONDS / 3600, 3),
        "kilometres": round(sum(drive["distance_m"] for drive in found) / 1e3, 2),
        **boxes,
        "towns": _count(drive["facts"].get("town", "unknown") for drive in found),
        "weathers": _count(drive["facts"].get("weather", "unknown") for drive in found),
        "rigs": _count(drive["rig_hash"] for drive in found),
    }


def _count(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _table(corner: str, columns: Mapping[str, Mapping[str, Any]], rows: Iterable[str]) -> list[str]:
    head = f"| {corner} | {' | '.join(columns)} |"
    rule = f"|---|{'---:|' * len(columns)}"
    body = [
        f"| {row} | {' | '.join(str(values.get(row, 0)) for values in columns.values())} |"
        for row in rows
    ]
    return [head, rule, *body]
