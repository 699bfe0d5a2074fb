# SPDX-License-Identifier: Apache-2.0
"""Every reading of the numbers against what must hold, and the declared one against the best.

Cameras, ego poses and boxes are read one after the other. Readings are scored by the geometric
mean of their checks; the few best are then looked at through the images too. The declared
reading is refused when a check refuses it, or when another one fits clearly better.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bev_perception.errors import BevError
from bev_perception.samples.box_evidence import box_checks, outline_checks
from bev_perception.samples.camera_evidence import camera_checks, ground_checks
from bev_perception.samples.declaration import CHOICES, Declaration
from bev_perception.samples.evidence import Check, Moment
from bev_perception.samples.findings import FLOOR, PARTS, Finding, Reading
from bev_perception.samples.pose_evidence import heading_checks, parked_checks, pose_checks

_MAX_SEEN = 8

Checker = Callable[[Declaration], list[Check]]


@dataclass(frozen=True)
class Investigation:
    """All findings about one drive.

    Attributes:
        findings: by part, those with data.
        proposal: the best reading of every part, for those who have nothing declared.
        notes: about the data as such.
    """

    findings: tuple[Finding, ...]
    proposal: Declaration
    notes: tuple[str, ...] = field(default=())

    @property
    def contradictions(self) -> list[str]:
        """Why the declaration is refused; empty when it stands."""
        return [finding.contradiction for finding in self.findings if finding.contradiction]


def investigate(
    moments: Sequence[Moment],
    followers: Sequence[Moment | None],
    start: Declaration,
    is_declared: bool,
) -> Investigation:
    """Looks for the readings that fit.

    Args:
        moments: spread over a drive, at least one.
        followers: the sample after each of them, or None.
        start: the declaration, or any reading where nothing is declared.
        is_declared: whether start is a declaration, to be verified.
    """

    def seen(declaration: Declaration) -> list[Check]:
        return ground_checks(moments, followers, declaration)

    findings: list[Finding] = []
    chosen = start
    ignored = _without_meaning(moments)

    def find(part: str, quick: Checker, thorough: Checker) -> None:
        nonlocal chosen
        finding = _find(part, chosen, is_declared, quick, thorough, ignored)
        findings.append(finding)
        declared = finding.declared
        reading = finding.best if declared is None or finding.contradiction else declared
        chosen = reading.declaration

    find(
        "cameras",
        lambda reading: camera_checks(moments, reading),
        lambda reading: _seen_from_any_pose(seen, reading),
    )
    if any(each.sample.pose is not None for each in moments):
        find("ego poses", lambda reading: pose_checks(moments, followers, reading), seen)
    if any(each.sample.boxes is not None for each in moments):
        find(
            "boxes",
            lambda reading: box_checks(moments, reading),
            lambda reading: [
                *outline_checks(moments, reading),
                *parked_checks(moments, followers, reading),
                *heading_checks(moments, followers, reading),
            ],
        )
    return Investigation(tuple(findings), chosen, tuple(_notes(findings)))


def _find(
    part: str,
    start: Declaration,
    is_declared: bool,
    quick: Checker,
    thorough: Checker,
    ignored: frozenset[str],
) -> Finding:
    readings = [_reading(part, each, quick) for each in _alternatives(part, start, ignored)]
    limit = max(0.5 * max(reading.score for reading in readings), 10 * FLOOR)
    likely = sorted((r for r in readings if r.score >= limit), key=lambda r: -r.score)[:_MAX_SEEN]
    judged = [
        _with_checks(r, thorough) if r in likely or r.declaration == start else r for r in readings
    ]
    judged = _with_missing(judged, likely)
    ranking = sorted(
        judged,
        key=lambda r: (not r.stands, -round(r.score, 3), is_declared and r.declaration != start),
    )
    declared = next(r for r in judged if r.declaration == start) if is_declared else None
    return Finding(part, tuple(ranking), declared)


def _alternatives(
    part: str, start: Declaration, ignored: frozenset[str] = frozenset()
) -> Iterator[Declaration]:
    """The starting reading first, then all others; ignored conventions stay as they are."""
    yield start
    names = [name for name in PARTS[part] if name not in ignored]
    for values in itertools.product(*(CHOICES[name] for name in names)):
        changes: Mapping[str, Any] = dict(zip(names, values))
        other = replace(start, **changes)
        if other != start:
            yield other


def _without_meaning(moments: Sequence[Moment]) -> frozenset[str]:
    """Conventions of what these samples do not hold."""
    boxes = [each.sample.boxes for each in moments]
    has_angles = any(each is not None and each.angles is not None for each in boxes)
    return frozenset() if has_angles else frozenset({"box_angles"})


def _reading(part: str, declaration: Declaration, checker: Checker) -> Reading:
    try:
        return Reading(declaration, part, tuple(checker(declaration)))
    except BevError as error:
        return Reading(declaration, part, trouble=str(error))


def _with_checks(reading: Reading, checker: Checker) -> Reading:
    if reading.trouble:
        return reading
    try:
        return replace(reading, checks=(*reading.checks, *checker(reading.declaration)))
    except BevError as error:
        return replace(reading, trouble=str(error))


def _with_missing(readings: Sequence[Reading], likely: Sequence[Reading]) -> list[Reading]:
    """Where a reading leaves nothing to compare that others do compare, it counts as a miss."""
    looked = {each.declaration for each in likely}
    known = {
        check.name: check.weight
        for reading in readings
        if reading.declaration in looked
        for check in reading.checks
    }
    result = []
    for reading in readings:
        has = {check.name for check in reading.checks}
        blanks = tuple(
            Check(name, 0.1, 0.0, "nothing to compare", weight)
            for name, weight in known.items()
            if name not in has
        )
        result.append(replace(reading, checks=(*reading.checks, *blanks)))
    return result


def _seen_from_any_pose(seen: Checker, reading: Declaration) -> list[Check]:
    """Cameras are judged before poses, so by the pose reading that suits them best."""
    best: dict[str, Check] = {}
    for changed in _alternatives("ego poses", reading):
        for check in seen(changed):
            if check.name not in best or check.value > best[check.name].value:
                best[check.name] = check
    return list(best.values())


def _notes(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings:
        reading = finding.declared or finding.best
        alike = [other.differences(reading.declaration) for other in finding.equals]
        undecided = sorted({name for changes in alike for name in changes})
        if undecided and not finding.contradiction:
            yield (
                f"{finding.part}: nothing in the data decides {', '.join(undecided)}; the "
                f"declaration is believed there, so look at the pictures"
            )
