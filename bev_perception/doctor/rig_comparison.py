# SPDX-License-Identifier: Apache-2.0
"""The rig against the rigs that weights were trained with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bev_perception.doctor.examination import NamedCheck
from bev_perception.doctor.finding import Finding, Findings, Severity
from bev_perception.doctor.recording import Observation
from bev_perception.geometry.rig_statistics import CameraView, RigStatistics

HEIGHT_M, PITCH_DEG, YAW_DEG, FOV_DEG = 0.3, 4.0, 20.0, 12.0
"""How far beyond the ranges of training a camera may be."""

_FIRST = ("size", "focal", "principal-point", "mounting", "optical-frame", "directions")
"""Errors that make a rig look like none of training."""


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
    if so_far.has_error(*_FIRST):
        return  # once those are mended there is something to compare
    views = [CameraView.of(entry) for entry in seen.rig_cameras.values()]
    differences = list(_differences(views, trained))
    fewest, most = trained.cameras
    if not fewest <= len(seen.cameras) <= most:
        known = f"{fewest if fewest == most else f'{fewest} to {most}'} cameras"
        differences.insert(0, (f"{len(seen.cameras)} cameras", known))
    if differences:
        yield Finding(
            "weights",
            severity,
            ", ".join(text for text, _ in differences),
            expected=f"{', '.join(text for _, text in differences)}, as in the {trained.rigs} "
            f"recordings that weights {weights} learnt from",
            cause="another vehicle or other lenses than in training, or a wrong calibration",
            fix="check the calibration; else expect lower accuracy, measure it (bev evaluate), and "
            "train with such rigs (bev simulate --vary-rig, or own recordings)",
        )


def _differences(views: Sequence[CameraView], trained: RigStatistics) -> Iterator[tuple[str, str]]:
    """(what it is, what it was in training) of all that is clearly outside."""
    for values, limits, margin, text, digits, unit in (
        ([v.height_m for v in views], trained.height_m, HEIGHT_M, "height", 2, "m"),
        (
            [v.horizontal_fov_deg for v in views],
            trained.horizontal_fov_deg,
            FOV_DEG,
            "field of view",
            0,
            "deg",
        ),
        ([v.pitch_deg for v in views], trained.pitch_deg, PITCH_DEG, "pitch", 0, "deg"),
    ):
        if min(values) < limits[0] - margin or max(values) > limits[1] + margin:
            yield (
                f"{text} {_span(min(values), max(values), digits)} {unit}",
                f"{_span(*limits, digits)} {unit}",
            )
    odd = [view.yaw_deg for view in views if _nearest(view.yaw_deg, trained.yaw_deg) > YAW_DEG]
    if odd:
        known = ", ".join(f"{yaw:.0f}" for yaw in trained.yaw_deg)
        yield f"yaw {', '.join(f'{yaw:.0f}' for yaw in odd)} deg", f"near one of {known} deg"


def _nearest(yaw_deg: float, known_deg: Sequence[float]) -> float:
    return min(abs((yaw_deg - known + 180) % 360 - 180) for known in known_deg)


def _span(low: float, high: float, digits: int) -> str:
    first, last = f"{low:.{digits}f}", f"{high:.{digits}f}"
    return first if first == last else f"{first} to {last}"
