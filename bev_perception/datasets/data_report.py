# SPDX-License-Identifier: Apache-2.0
"""The report page of an extraction: a verdict and a picture of every drive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bev_perception.bags.compressed_images import decoded_image
from bev_perception.datasets.cuts import CAUSES, HARMLESS
from bev_perception.datasets.drive_preview import PREVIEW_NAME
from bev_perception.datasets.shard_format import DRIVES_FOLDER
from bev_perception.visualization import KeyFigure, Picture, Report, Table

MAX_PICTURES = 24
"""More would make the page too large; every drive's picture lies beside its shards."""

_MAX_CUTS = 200


def make_report(
    root: Path,
    drives: Mapping[str, Mapping[str, Any]],
    splits: Mapping[str, str],
    card: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> Report:
    """Everything that a person should look at before training on a data set."""
    facts = card["all"]
    refused = [name for name in drives if drives[name]["verdict"] == "refused"]
    seen = sum(drive["seen"] for drive in drives.values())
    bad = sum(_bad_sets(drive) for drive in drives.values())
    figures = [
        KeyFigure("drives", f"{facts['drives']}", f"{len(refused)} refused"),
        KeyFigure("sets", f"{facts['sets']}", f"of {seen}"),
        KeyFigure("cut out", f"{bad}", "sets with a defect"),
        KeyFigure("boxes", f"{facts['boxes']}", f"{facts['images']} images"),
        KeyFigure("driven", f"{facts['kilometres']:g} km", f"{facts['hours']:g} h"),
    ]
    findings = [f"{name} is refused: {drives[name]['reason']}" for name in refused]
    findings += [f"{name}: {note}" for name, drive in drives.items() for note in drive["notes"]]
    return Report(
        title=f"Data set {root.name}",
        subtitle=f"licence: {card['licence']}",
        figures=figures,
        findings=findings,
        pictures=_pictures(root, drives),
        tables=[_verdicts(drives, splits), *_cuts(drives), *_card_tables(card)],
        configuration=settings,
    )


def _bad_sets(drive: Mapping[str, Any]) -> int:
    return sum(cut["sets"] for cut in drive["cuts"] if cut["cause"] not in HARMLESS)


def _pictures(root: Path, drives: Mapping[str, Mapping[str, Any]]) -> list[Picture]:
    """Of drives with defects first, then evenly over the others."""
    there = [name for name in drives if (root / DRIVES_FOLDER / name / PREVIEW_NAME).is_file()]
    bad = [name for name in there if drives[name]["verdict"] not in ("good", "fair")]
    good = [name for name in there if name not in bad]
    bad = bad[:MAX_PICTURES]
    places = np.linspace(0, len(good) - 1, min(len(good), MAX_PICTURES - len(bad)))
    pictures = []
    for name in [*bad, *(good[round(place)] for place in places)]:
        data = (root / DRIVES_FOLDER / name / PREVIEW_NAME).read_bytes()
        image = decoded_image(np.frombuffer(data, np.uint8))
        if image is not None:
            verdict = _words(drives[name])
            pictures.append(
                Picture(
                    image,
                    f"Cameras of {name} with labelled boxes, and the boxes from above.",
                    f"{name}: {verdict}. Boxes must sit on their objects.",
                )
            )
    return pictures


def _words(drive: Mapping[str, Any]) -> str:
    return f"{drive['verdict']}: {drive['reason']}" if drive["reason"] else str(drive["verdict"])


def _verdicts(drives: Mapping[str, Mapping[str, Any]], splits: Mapping[str, str]) -> Table:
    rows = [
        [
            name,
            splits.get(name, "-"),
            _words(drive),
            f"{drive['sets']}",
            f"{drive['seen']}",
            f"{_bad_sets(drive)}",
            f"{drive.get('standing', 0)}",
            "-" if drive.get("boxes_in_view") is None else f"{100 * drive['boxes_in_view']:.1f} %",
        ]
        for name, drive in drives.items()
    ]
    columns = ["drive", "split", "verdict", "sets kept", "seen", "cut", "standing", "in view"]
    note = "in view: of the boxes that are said to be visible, those that are in an image"
    return Table("Verdicts", columns, rows, note)


def _cuts(drives: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    rows: list[Sequence[str]] = []
    for name, drive in drives.items():
        rows += [
            [name, f"{cut['from_s']:.2f}", f"{cut['to_s']:.2f}", cut["cause"], f"{cut['sets']}",
             cut["detail"]]
            for cut in drive["cuts"] if cut["cause"] not in HARMLESS
        ]  # fmt: skip
    if not rows:
        return []
    causes = {row[3] for row in rows}
    note = "; ".join(f"{cause}: {text}" for cause, text in CAUSES.items() if cause in causes)
    if len(rows) > _MAX_CUTS:
        note += f"; {len(rows) - _MAX_CUTS} more are in manifest.json"
    columns = ["drive", "from s", "to s", "cause", "sets", "detail"]
    return [Table("Cut out", columns, rows[:_MAX_CUTS], note)]


def _card_tables(card: Mapping[str, Any]) -> list[Table]:
    columns = {"all": card["all"], **card["splits"]}
    tables = []
    for title, group in (
        ("Boxes by class", "classes"),
        ("Boxes by distance, metres", "distance_m"),
        ("Boxes by visibility", "visibility"),
    ):
        rows = [
            [name, *(f"{facts[group].get(name, 0)}" for facts in columns.values())]
            for name in columns["all"][group]
        ]
        tables.append(Table(title, ["", *columns], rows))
    return tables
