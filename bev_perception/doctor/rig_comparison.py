# SPDX-License-Identifier: Apache-2.0
"""The rig against the rigs that weights were trained with."""

from __future__ import annotations

from collections.abc import Iterator

from bev_perception.doctor.examination import NamedCheck
from bev_perception.doctor.finding import Finding, Findings, Severity
from bev_perception.doctor.recording import Observation
from bev_perception.geometry.rig_statistics import CameraView, RigStatistics

HEIGHT_M, PITCH_DEG, YAW_DEG, FOV_DEG = 0.3, 4.0, 20.0, 12.0
"""How far beyond the ranges of training a camera may be."""


def rig_check(weights: str, trained: RigStatistics | None, severity: Severity) -> NamedCheck:
    """The check that compares with certain weights.

    Args:
        weights: their name, for messages.
        trained: from their metadata; None where it has none.
        severity: of a difference: a WARNING where these weights will be used.
    """

    def run(seen: Observation, so_far: Findings) -> Iterator[Finding]:
        if trained is None:
            yield Finding(
                "weights",
                Severity.NOTE,
                f"weights {weights} do not say with which rigs they were trained",
                expected="rig statistics in their metadata, which bev train writes",
                cause="weights of an earlier version, or imported ones",
                fix="compare cameras, heights and fields of view by hand",
            )
        elif seen.rig_cameras:
            yield from _compared(seen, so_far, weights, trained, severity)

    return NamedCheck("weights", f"is the rig like those that {weights} learnt from", run)


def _compared(
    seen: Observation, so_far: Findings, weights: str, trained: RigStatistics, severity: Severity
) -> Iterator[Finding]:
    fewest, most = trained.cameras
    count = len(seen.cameras)
    learnt = f"what weights {weights} have learnt from ({trained.rigs} recordings)"
    if not fewest <= count <= most:
        yield Finding(
            "weights",
            severity,
            f"{count} cameras",
            expected=f"{fewest if fewest == most else f'{fewest} to {most}'}, {learnt}",
            cause="another vehicle than in training",
            fix="expect lower accuracy; measure it (bev evaluate), train with this rig",
        )
    for name, entry in seen.rig_cameras.items():
        if so_far.has_error(
            "focal", "mounting", "optical-frame", "directions", "size", camera=name
        ):
            continue
        seen_texts, expected = [], []
        for text, limits in _differences(CameraView.of(entry), trained):
            seen_texts.append(text)
            expected.append(limits)
        if seen_texts:
            yield Finding(
                "weights",
                severity,
                ", ".join(seen_texts),
                camera=name,
                expected=f"{', '.join(expected)}: {learnt}",
                cause="another vehicle or lens than in training, or a wrong calibration",
                fix="check the calibration; else expect lower accuracy, measure it (bev evaluate), "
                "train with this rig (bev simulate --vary-rig)",
            )


def _differences(view: CameraView, trained: RigStatistics) -> Iterator[tuple[str, str]]:
    """(what it is, what it was in training) of all that is clearly outside."""
    for value, (low, high), margin, text, unit in (
        (view.height_m, trained.height_m, HEIGHT_M, "height", "m"),
        (view.horizontal_fov_deg, trained.horizontal_fov_deg, FOV_DEG, "field of view", "deg"),
        (view.pitch_deg, trained.pitch_deg, PITCH_DEG, "pitch", "deg"),
    ):
        if not low - margin <= value <= high + margin:
            digits = 2 if unit == "m" else 0
            limits = f"{low:.{digits}f}"
            limits += "" if high - low < 10**-digits else f" to {high:.{digits}f}"
            yield f"{text} {value:.{digits}f} {unit}", f"{limits} {unit}"
    if all(abs((view.yaw_deg - yaw + 180) % 360 - 180) > YAW_DEG for yaw in trained.yaw_deg):
        known = ", ".join(f"{yaw:.0f}" for yaw in trained.yaw_deg)
        yield f"yaw {view.yaw_deg:.0f} deg", f"near one of {known} deg"
