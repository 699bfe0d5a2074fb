# SPDX-License-Identifier: Apache-2.0
"""What the data say about declared conventions: as text, tables and pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.cli.result_tables import as_text
from bev_perception.errors import BevError
from bev_perception.geometry import BevGrid
from bev_perception.samples import (
    Declaration,
    Drive,
    Finding,
    ImportedSample,
    Investigation,
    Reading,
)
from bev_perception.visualization import (
    Picture,
    Report,
    Table,
    bev_picture,
    camera_picture,
    write_image,
    write_report,
)

MOST_READINGS = 6
"""Of each part, in tables."""

_CAPTION = (
    "Boxes must sit on their objects with the tinted face at the front, the grid flat on the "
    "road, the yellow line on the horizon."
)


def check_text(name: str, investigation: Investigation, declared: Declaration | None) -> str:
    """For a terminal."""
    parts = [f"drive {name}"]
    for finding in investigation.findings:
        table = ranking_table(finding)
        parts.append(f"{table.title}\n{as_text(table)}")
        parts.append("\n".join(_measured(finding)))
    parts += [f"- {text}" for text in (*investigation.contradictions, *investigation.notes)]
    if declared is None:
        parts.append(
            "Nothing is declared. What fits best, to be put beside the samples as layout.yaml "
            "once the pictures look right:\n\n" + investigation.proposal.to_yaml()
        )
    elif not investigation.contradictions:
        parts.append("The declaration stands.")
    return "\n\n".join(parts) + "\n"


def ranking_table(finding: Finding) -> Table:
    """The readings that fit best, and the declared one."""
    shown = list(finding.ranking[:MOST_READINGS])
    if finding.declared is not None and finding.declared not in shown:
        shown.append(finding.declared)
    reference = finding.declared or finding.best
    rows = [
        [f"{reading.score:.2f}  {_told(reading, reference)}", _verdict(reading, finding),
         _worst(reading)]
        for reading in shown
    ]  # fmt: skip
    return Table(
        f"Readings of the {finding.part}, best first; "
        f"{'declared' if finding.declared else 'best'}: {reference.words}",
        ["score and what is different", "verdict", "weakest point"],
        rows,
    )


def check_report(
    path: Path,
    title: str,
    investigation: Investigation,
    declared: Declaration | None,
    pictures: list[Picture],
) -> None:
    """One HTML file with everything."""
    report = Report(
        title=title,
        subtitle="the declaration is contradicted"
        if investigation.contradictions
        else "nothing is declared"
        if declared is None
        else "the declaration stands",
        findings=[*investigation.contradictions, *investigation.notes],
        pictures=pictures,
        tables=[
            *(ranking_table(finding) for finding in investigation.findings),
            *(_evidence_table(finding) for finding in investigation.findings),
        ],
        configuration=(declared or investigation.proposal).to_dict(),
    )
    write_report(path, report)


def draw_samples(
    drive: Drive, declaration: Declaration, count: int, folder: Path, stem: str
) -> list[Picture]:
    """Camera views and the view from above of moments spread over a drive, as files too.

    Boxes and poses that cannot be read as declared are left out, and a declaration that makes
    no cameras gives no pictures.
    """
    for cameras_only in (False, True):
        try:
            return [
                _picture(sample, number, folder, stem)
                for number, sample in _spread(drive, declaration, count, cameras_only)
            ]
        except BevError:
            continue
    return []


def _spread(
    drive: Drive, declaration: Declaration, count: int, cameras_only: bool
) -> Iterator[tuple[int, ImportedSample]]:
    total = len(drive.paths)
    wanted = set(np.linspace(0, max(total - 1, 0), count).astype(int).tolist()) if count else set()
    for number, sample in enumerate(drive.samples(declaration, cameras_only)):
        if number in wanted:
            yield number, sample


def _picture(sample: ImportedSample, number: int, folder: Path, stem: str) -> Picture:
    boxes = sample.objects or ()
    title = "boxes or poses cannot be read so" if sample.objects is None else f"{len(boxes)} boxes"
    cameras = camera_picture(sample.frame_set, sample.rig, boxes, (), 2000, True)
    above = bev_picture(BevGrid.centered(40.0, 0.4), truth=boxes, width=900, title=title)
    image = _side_by_side(cameras, above)
    write_image(folder / f"{stem}_{number:06d}.jpg", image)
    alt = f"Sample {number}: camera views with boxes and ground grid, and boxes from above."
    return Picture(image, alt, f"{stem.replace('_', ' ')}, sample {number}. {_CAPTION}")


def investigation_values(investigation: Investigation) -> dict[str, Any]:
    """Plain values for JSON."""
    return {
        "contradictions": investigation.contradictions,
        "notes": list(investigation.notes),
        "proposal": investigation.proposal.to_dict(),
        "parts": {
            finding.part: [
                {
                    "score": round(reading.score, 4),
                    "stands": reading.stands,
                    "declared": reading is finding.declared,
                    "reading": reading.words,
                    "trouble": reading.trouble,
                    "checks": {check.name: round(check.value, 4) for check in reading.checks},
                }
                for reading in finding.ranking
            ]
            for finding in investigation.findings
        },
    }


def _told(reading: Reading, reference: Reading) -> str:
    changes = reading.differences(reference.declaration)
    return ", ".join(f"{name} {value}" for name, value in changes.items()) or "(itself)"


def _verdict(reading: Reading, finding: Finding) -> str:
    words = ["declared"] if reading is finding.declared else []
    return ", ".join([*words, "possible" if reading.stands else "refused"])


def _worst(reading: Reading) -> str:
    if reading.trouble:
        return reading.trouble[:90]
    if not reading.checks:
        return ""
    failing = [check for check in reading.checks if check.fails]
    worst = min(failing or reading.checks, key=lambda check: check.value)
    return f"{worst.name} {worst.value:.2f}"


def _measured(finding: Finding) -> list[str]:
    reading = finding.declared or finding.best
    if reading.trouble:
        return [f"  {reading.trouble}"]
    return [f"  {check.name} {check.value:.2f}: {check.words}" for check in reading.checks]


def _evidence_table(finding: Finding) -> Table:
    reading = finding.declared or finding.best
    which = "the declared" if finding.declared else "the best"
    rows = [[check.name, f"{check.value:.2f}", check.words] for check in reading.checks]
    return Table(
        f"What was measured for {which} reading of the {finding.part}",
        ["check", "value", "measured"],
        rows or [["none", "", reading.trouble]],
    )


def _side_by_side(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height = max(left.shape[0], right.shape[0])
    padded = [
        np.pad(image, ((0, height - image.shape[0]), (0, 0), (0, 0))) for image in (left, right)
    ]
    return np.concatenate(padded, axis=1)
