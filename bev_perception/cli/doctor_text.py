# SPDX-License-Identifier: Apache-2.0
"""An examination as text, tables and plain values."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bev_perception.cli.result_tables import as_text, text_table
from bev_perception.doctor.examination import Examination
from bev_perception.doctor.finding import Finding, Severity
from bev_perception.doctor.recording import CameraTrack, Observation
from bev_perception.geometry.rig_statistics import CameraView
from bev_perception.visualization import Table

_WIDTH = 96
_PARTS = ("expected", "cause", "fix")


def overview(examination: Examination) -> str:
    """What was looked at, in one line."""
    seen = examination.observation
    frame = f"vehicle frame {seen.base_frame}" if seen.base_frame else "no vehicle frame"
    return f"{seen.source}: {seen.duration_s:.1f} s, {len(seen.cameras)} cameras, {frame}"


def verdict(examination: Examination) -> str:
    """``2 errors, 1 warning, 0 notes``."""
    parts = []
    for severity, word in (
        (Severity.ERROR, "error"),
        (Severity.WARNING, "warning"),
        (Severity.NOTE, "note"),
    ):
        count = examination.count(severity)
        parts.append(f"{count} {word}{'' if count == 1 else 's'}")
    return ", ".join(parts)


def examination_text(examination: Examination) -> str:
    """Everything for a terminal."""
    cameras = cameras_table(examination.observation)
    parts = [overview(examination)]
    parts += [f"{cameras.title}\n{as_text(cameras)}"] if cameras.rows else []
    parts.append(f"Checks\n{_checks_text(examination)}")
    parts += [_group_text(group) for group in _groups(examination.findings)]
    return "\n\n".join([*parts, verdict(examination)]) + "\n"


def _groups(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Findings of several cameras that have one cause, together."""
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for number, each in enumerate(findings):
        one = "" if each.camera else number
        groups.setdefault((each.severity, each.check, each.cause, each.fix, one), []).append(each)
    return list(groups.values())


def _group_text(group: Sequence[Finding]) -> str:
    """A few indented lines."""
    first, cameras = group[0], ", ".join(dict.fromkeys(each.camera for each in group))
    lines = [f"{first.severity.value.upper()}  {first.check}  {cameras}".rstrip()]
    for part in ("seen", "expected"):
        texts = [getattr(each, part) for each in group]
        if len(set(texts)) == 1:
            lines.append(_line(part, texts[0]))
        else:
            lines += [
                _line("" if number else part, f"{each.camera}: {text}")
                for number, (each, text) in enumerate(zip(group, texts))
                if text
            ]
    lines += [_line(part, getattr(first, part)) for part in ("cause", "fix")]
    return "\n".join(line for line in lines if line)


def checks_table(examination: Examination) -> Table:
    """Each check with its verdict."""
    rows = []
    for check in examination.checks:
        cameras = [f.camera for f in examination.findings if f.check == check.name and f.camera]
        shown = ", ".join(dict.fromkeys(cameras))
        rows.append([check.name, check.looks_at, examination.verdict(check.name).value, shown])
    return Table("Checks", ["check", "looks at", "verdict", "cameras"], rows, prose=True)


def _checks_text(examination: Examination) -> str:
    """The same for a terminal, names and questions aligned."""
    rows = [
        [f"{name:<16} {looks_at}", *rest]
        for name, looks_at, *rest in checks_table(examination).rows
    ]
    return text_table(["check", "verdict", "cameras"], rows)


def cameras_table(seen: Observation) -> Table:
    """What each camera is and does."""
    columns = [
        "camera", "images", "rate Hz", "size", "encoding", "field of view", "height m", "looks to",
    ]  # fmt: skip
    return Table("Cameras", columns, [_camera_row(seen, each) for each in seen.cameras.values()])


def findings_table(examination: Examination) -> Table:
    """All findings for the report."""
    rows = [
        [f"{each.severity.value}: {each.check}", each.camera or "all", each.seen,
         *(getattr(each, part) for part in _PARTS)]
        for each in examination.findings
    ]  # fmt: skip
    columns = ["finding", "camera", "seen", "expected", "likely cause", "fix"]
    return Table("Findings", columns, rows, prose=True)


def examination_values(
    examination: Examination, strict: bool, pictures: Mapping[int, str]
) -> dict[str, Any]:
    """Plain values for JSON.

    Args:
        examination: what was found.
        strict: whether warnings make it unhealthy.
        pictures: file names by number of the finding.
    """
    seen = examination.observation
    return {
        "source": seen.source,
        "live": seen.is_live,
        "duration_s": round(seen.duration_s, 3),
        "base_frame": seen.base_frame,
        "healthy": examination.is_healthy(strict),
        "counts": {severity.value: examination.count(severity) for severity in Severity},
        "checks": {each.name: examination.verdict(each.name).value for each in examination.checks},
        "cameras": {name: _camera_values(seen, each) for name, each in seen.cameras.items()},
        "findings": [
            {
                "check": each.check,
                "severity": each.severity.value,
                "camera": each.camera,
                "seen": each.seen,
                **{part: getattr(each, part) for part in _PARTS},
                "picture": pictures.get(number, ""),
            }
            for number, each in enumerate(examination.findings)
        ],
    }


def _line(part: str, text: str) -> str:
    """A wrapped paragraph behind its name; nothing for no text."""
    if not text:
        return ""
    head = f"  {part + ':' if part else '':<10}"
    return textwrap.fill(
        text, _WIDTH, initial_indent=head, subsequent_indent=" " * len(head),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _camera_row(seen: Observation, track: CameraTrack) -> list[str]:
    form, rate = track.form, _rate_hz(track)
    row = [
        track.name,
        str(len(track.log_ns)),
        "-" if rate is None else f"{rate:.2f}",
        f"{form.width}x{form.height}" if form and form.width else "-",
        form.encoding if form else "-",
    ]
    entry = seen.rig_cameras.get(track.name)
    if entry is None:
        return [*row, "-", "-", "-"]
    view = CameraView.of(entry)
    tilt = "up" if view.pitch_deg > 0 else "down"
    looks = f"yaw {view.yaw_deg:+.1f}, {abs(view.pitch_deg):.1f} deg {tilt}"
    return [*row, f"{view.horizontal_fov_deg:.1f} deg", f"{view.height_m:.2f}", looks]


def _camera_values(seen: Observation, track: CameraTrack) -> dict[str, Any]:
    entry, form, rate = seen.rig_cameras.get(track.name), track.form, _rate_hz(track)
    values: dict[str, Any] = {
        "image_topic": track.topics.image_topic,
        "camera_info_topic": track.topics.camera_info_topic,
        "images": len(track.log_ns),
        "rate_hz": None if rate is None else round(rate, 3),
        "size": [form.width, form.height] if form else None,
        "encoding": form.encoding if form else None,
    }
    if entry is not None:
        view = CameraView.of(entry)
        values |= {
            "height_m": round(view.height_m, 3),
            "horizontal_fov_deg": round(view.horizontal_fov_deg, 2),
            "pitch_deg": round(view.pitch_deg, 2),
            "yaw_deg": round(view.yaw_deg, 2),
        }
    return values


def _rate_hz(track: CameraTrack) -> float | None:
    """Images per second of arrival; None for fewer than two."""
    if len(track.log_ns) < 2:
        return None
    period_s = float(np.diff(np.sort(track.log_ns)).mean()) / 1e9
    return 1.0 / period_s if period_s > 0 and math.isfinite(period_s) else None
