# SPDX-License-Identifier: Apache-2.0
"""Checks angles, heights and focal lengths of the calibration against images and ego motion."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bev_perception.doctor.finding import Finding, Findings, Severity
from bev_perception.doctor.geometry_assignment import Outcome
from bev_perception.doctor.geometry_evidence import evidence
from bev_perception.doctor.geometry_ground import MIN_MOTION_M
from bev_perception.doctor.geometry_mounting import MountingEstimate, estimate_mounting
from bev_perception.doctor.geometry_pictures import mounting_picture
from bev_perception.doctor.geometry_residuals import Error
from bev_perception.doctor.geometry_vehicle import SharedError, own_error, shared_error
from bev_perception.doctor.recording import Observation
from bev_perception.doctor.sight import Sight, sight
from bev_perception.geometry import Rig

MIN_MOMENTS = 3
MIN_DRIVEN_M = 2.0

ANGLE_DEG = (1.0, 2.0)
"""From the first on an angle is a warning, from the second on an error."""

TOO_LOW_M, TOO_HIGH_M = (0.12, 0.22), (0.28, 0.4)
"""Warning and error where the camera is really higher, or lower, than calibrated. A camera that
sees only a pavement or a bank seems lower by their height, so the second pair is wider."""

FOCAL = (0.04, 0.07)
"""Relative."""

SURE_SIGMAS = 4.0
_UNSURE = np.array([*np.radians([0.5, 0.5, 0.5]), 0.1, 0.03, 1.0])
"""Standard deviations beyond which nothing is said."""

_CAUSE = (
    "a mount that slipped, a mounting taken from the drawing and never calibrated, or angles of "
    "another convention"
)
_PICTURE = (
    "Left grid and horizon as calibrated, right with the estimated error taken out; the grid must "
    "lie flat on the road and the yellow line on the horizon."
)


class _Angle(NamedTuple):
    place: Error
    name: str
    more: str
    less: str
    sign: str


_ANGLES = (
    _Angle(Error.YAW, "yaw", "to the left", "to the right", "positive yaw is to the left"),
    _Angle(Error.PITCH, "pitch", "down", "up", "positive pitch is down"),
    _Angle(Error.ROLL, "roll", "clockwise", "anticlockwise", "positive roll is clockwise"),
)


def check_geometry(seen: Observation, so_far: Findings) -> Iterator[Finding]:
    """Estimates every camera's errors; tells those that are sure, and what is not judged."""
    looked = sight(seen, so_far)
    if looked.rig is not None:
        yield from judge_geometry(looked, looked.rig, *estimate_all(looked), seen.base_frame)


def judge_geometry(
    looked: Sight,
    rig: Rig,
    estimates: Mapping[str, MountingEstimate],
    reasons: Mapping[str, str],
    base_frame: str,
) -> Iterator[Finding]:
    """What estimates of estimate_all mean."""
    shared = shared_error(estimates, rig)
    yield from _vehicle(base_frame, shared)
    for name, estimate in estimates.items():
        own = own_error(rig, name, estimate.error, shared)
        found = [
            *_angles(name, own, estimate),
            *_height(name, own, estimate, rig[name].base_T_camera.translation[2]),
            *_focal(name, estimate, rig[name].camera.fx),
        ]
        if found:
            picture = mounting_picture(looked, name, estimate)
            for finding in found:
                yield _with(finding, picture)
        else:
            is_shared = bool(shared.turn.any() or shared.height)
            yield Finding("geometry", Severity.OK, _fine(own, estimate, is_shared), camera=name)
    if reasons:
        yield Finding(
            "geometry",
            Severity.NOTE,
            "angles, height and focal length were not judged for "
            + "; ".join(
                f"{', '.join(n for n in reasons if reasons[n] == why)}, because {why}"
                for why in dict.fromkeys(reasons.values())
            ),
            expected=f"a drive of at least {MIN_DRIVEN_M:g} m with ego poses and images in quick "
            f"succession",
        )


def estimate_all(looked: Sight) -> tuple[dict[str, MountingEstimate], dict[str, str]]:
    """Estimates by camera, and why there is none of the others."""
    assert looked.rig is not None
    estimates, reasons = {}, {}
    for name in looked.rig:
        why = _obstacle(looked, name)
        if why:
            reasons[name] = why
            continue
        pairs = looked.pairs[name]
        height, width = pairs[0].first.shape
        entry = looked.rig[name].resized(width, height)
        estimates[name] = estimate_mounting([evidence(pair, entry) for pair in pairs], entry)
    return estimates, reasons


def _obstacle(looked: Sight, name: str) -> str:
    """Why a camera cannot be judged; empty when it can."""
    outcome = looked.verdicts[name].outcome
    if outcome in (Outcome.FLIPPED, Outcome.OTHER_CAMERA, Outcome.CONTRADICTS):
        return "its images are not those of its mounting"
    pairs = looked.pairs[name]
    if not looked.poses_known or all(pair.position is None for pair in pairs):
        return "the vehicle's pose is not known"
    if not any(pair.second is not None for pair in pairs):
        return "there are no consecutive images"
    moving = sum(pair.motion_m >= MIN_MOTION_M for pair in pairs)
    driven = looked.driven_m(name)
    if moving < MIN_MOMENTS or driven < MIN_DRIVEN_M:
        return f"the vehicle moved only {driven:.1f} m"
    return ""


def _angles(name: str, own: NDArray[np.float64], estimate: MountingEstimate) -> Iterator[Finding]:
    for angle in _ANGLES:
        error, sigma = own[angle.place], estimate.sigma[angle.place]
        degrees = math.degrees(error)
        severity = _severity(abs(degrees), ANGLE_DEG)
        if severity is None or not _is_sure(error, sigma, angle.place):
            continue
        yield Finding(
            "geometry",
            severity,
            f"the camera looks {abs(degrees):.1f} +- {math.degrees(sigma):.1f} degrees "
            f"further {angle.more if degrees > 0 else angle.less} than its mounting says "
            f"({_counts(estimate)})"
            if angle.place is not Error.ROLL
            else f"the camera is turned {abs(degrees):.1f} +- {math.degrees(sigma):.1f} degrees "
            f"{angle.more if degrees > 0 else angle.less} about its view beyond what its "
            f"mounting says ({_counts(estimate)})",
            camera=name,
            expected=f"{angle.name} right within {ANGLE_DEG[0]:g} degree",
            cause=_CAUSE,
            fix=f"add {degrees:+.1f} degrees to the {angle.name} of its mounting "
            f"({angle.sign}), or calibrate it anew",
        )


def _height(
    name: str, own: NDArray[np.float64], estimate: MountingEstimate, told_m: float
) -> Iterator[Finding]:
    error, sigma = own[Error.HEIGHT], estimate.sigma[Error.HEIGHT]
    severity = _severity(abs(error), TOO_LOW_M if error > 0 else TOO_HIGH_M)
    if severity is None or not _is_sure(error, sigma, Error.HEIGHT):
        return
    yield Finding(
        "geometry",
        severity,
        f"the road lies {told_m + error:.2f} +- {sigma:.2f} m below the camera, "
        f"{abs(error):.2f} m {'more' if error > 0 else 'less'} than its mounting says "
        f"({_counts(estimate)})",
        camera=name,
        expected=f"{told_m:.2f} m, as calibrated",
        cause="a wrong z of the mounting, or a camera that was moved; on a straight way a wrong "
        "focal length looks alike",
        fix=f"set z of its mounting to {told_m + error:.2f} m above the ground, or calibrate it "
        f"anew",
    )


def _focal(name: str, estimate: MountingEstimate, told_px: float) -> Iterator[Finding]:
    error, sigma = estimate.error[Error.FOCAL], estimate.sigma[Error.FOCAL]
    ratio = math.exp(error)
    severity = _severity(abs(ratio - 1.0), FOCAL)
    if severity is None or not _is_sure(error, sigma, Error.FOCAL):
        return
    yield Finding(
        "geometry",
        severity,
        f"the focal length is {100 * abs(ratio - 1.0):.0f} +- {100 * sigma:.0f} % "
        f"{'longer' if error > 0 else 'shorter'} than CameraInfo says ({_counts(estimate)})",
        camera=name,
        expected=f"fx = {told_px:.0f} pixels as in CameraInfo, right within 4 %",
        cause="a calibration of another lens, zoom or image size, or images that were cropped or "
        "scaled without their CameraInfo",
        fix=f"calibrate the camera; fx is about {told_px * ratio:.0f} pixels",
    )


def _vehicle(base_frame: str, shared: SharedError) -> Iterator[Finding]:
    names = ("roll", "pitch", "yaw")
    for axis, value in enumerate(shared.turn):
        if value:
            degrees = math.degrees(value)
            severity = _severity(abs(degrees), ANGLE_DEG) or Severity.WARNING
            yield Finding(
                "geometry",
                severity,
                f"all {shared.cameras} cameras are turned alike: {names[axis]} "
                f"{degrees:+.1f} degrees about {base_frame}'s axis",
                expected="0",
                cause=f"{base_frame} is turned against the direction of travel"
                if axis == 2
                else f"{base_frame} is tilted against the road or gravity: load, tyres, a slope "
                f"that the ego pose does not know, or an IMU that is mounted at an angle",
                fix="correct the transform between the vehicle frame and the localisation"
                if axis == 2
                else "correct the vehicle frame, or let ego poses carry roll and pitch",
            )
    if shared.height:
        yield Finding(
            "geometry",
            _severity(abs(shared.height), TOO_LOW_M) or Severity.WARNING,
            f"the road lies {abs(shared.height):.2f} m {'below' if shared.height > 0 else 'above'} "
            f"the plane z = 0 of {base_frame} in all {shared.cameras} cameras",
            expected=f"{base_frame} on the ground",
            cause="a vehicle frame at the height of an axle or an IMU; or an ego pose whose ways "
            "are too short or too long",
            fix="name the frame on the ground as base_frame in a rig file, or check the odometry's "
            "scale",
        )


def _severity(value: float, limits: tuple[float, float]) -> Severity | None:
    if value <= limits[0]:
        return None
    return Severity.ERROR if value > limits[1] else Severity.WARNING


def _is_sure(error: float, sigma: float, place: Error) -> bool:
    return bool(sigma < _UNSURE[place] and abs(error) > SURE_SIGMAS * sigma)


def _counts(estimate: MountingEstimate) -> str:
    return (
        f"from {estimate.verticals} vertical edges, {estimate.corners} corners and "
        f"{estimate.ground} patches of road"
    )


def _fine(own: NDArray[np.float64], estimate: MountingEstimate, is_shared: bool) -> str:
    """What was estimated, where it is no error."""
    texts = []
    for angle in _ANGLES:
        sigma = estimate.sigma[angle.place]
        texts.append(
            f"{angle.name} {math.degrees(own[angle.place]):+.1f} +- "
            f"{math.degrees(sigma):.1f} degrees"
            if sigma < _UNSURE[angle.place]
            else f"{angle.name} not judged"
        )
    height, focal = estimate.sigma[Error.HEIGHT], estimate.sigma[Error.FOCAL]
    texts.append(
        f"height {own[Error.HEIGHT]:+.2f} +- {height:.2f} m"
        if height < _UNSURE[Error.HEIGHT]
        else "height not judged (too little road)"
    )
    texts.append(
        f"focal length within {100 * focal:.0f} %"
        if focal < _UNSURE[Error.FOCAL]
        else "focal length not judged"
    )
    beyond = " beyond what all cameras share" if is_shared else ""
    return f"errors of the calibration{beyond}: {', '.join(texts)} ({_counts(estimate)})"


def _with(finding: Finding, picture: NDArray[np.uint8]) -> Finding:
    return replace(finding, picture=picture, picture_text=_PICTURE)
