# SPDX-License-Identifier: Apache-2.0
"""Do the cameras sit on a vehicle, look where their names say, and agree on the ground?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.axes import invert_rigid
from bev_perception.geometry.usual_mountings import (
    HEIGHTS_M,
    REACH_M,
    name_direction,
    outward_m,
    side_of,
)
from bev_perception.samples.declaration import Declaration
from bev_perception.samples.evidence import SEEN_WEIGHT, Check, Moment, correlation, look_up
from bev_perception.samples.interpretation import base_T_cameras, world_T_base

MIN_POINTS = 150
"""Of the ground, seen twice, before their colours are compared."""

_NAME_TOLERANCE_DEG = 60.0
_LEVEL_SIN = 0.9


def camera_checks(moments: Sequence[Moment], declaration: Declaration) -> list[Check]:
    """Everything that the cameras' mounting alone must fulfil, images left aside."""
    poses = np.concatenate([base_T_cameras(each.sample, declaration) for each in moments])
    first = base_T_cameras(moments[0].sample, declaration)
    rotations, positions = poses[:, :3, :3], poses[:, :3, 3]
    determinants = np.linalg.det(rotations)
    proper = np.abs(rotations @ np.swapaxes(rotations, 1, 2) - np.eye(3)).max(axis=(1, 2)) < 1e-3
    proper &= determinants > 0
    heights = positions[:, 2]
    low, high = HEIGHTS_M
    near = (np.abs(positions[:, 0]) <= REACH_M[0]) & (np.abs(positions[:, 1]) <= REACH_M[1])
    axes, down = rotations[:, :, 2], rotations[:, :, 1]
    checks = [
        Check(
            "rotations", float(proper.mean()), 1.0,
            f"determinants {_span(determinants)}; a right-handed rotation has +1, and -1 says that "
            f"one of its frames is left-handed and the other is not",
        ),
        Check(
            "camera heights", float(((heights >= low) & (heights <= high)).mean()), 1.0,
            f"{_span(heights)} m above the ground, expected {low} to {high}",
        ),
        Check(
            "on the vehicle", float(near.mean()), 1.0,
            f"x {_span(positions[:, 0])}, y {_span(positions[:, 1])} m in base_link",
        ),
        Check(
            "upright", float((down[:, 2] < -0.3).mean()), 1.0,
            f"the images' downward axis has z {_span(down[:, 2])}, expected about -1",
        ),
        Check(
            "level views", float((np.abs(axes[:, 2]) < _LEVEL_SIN).mean()), 0.6,
            f"sines of the optical axes' elevation {_span(axes[:, 2])}",
        ),
    ]  # fmt: skip
    return [
        *checks,
        *_outward(first),
        *_named(first, declaration),
        *_stored_relations(moments, declaration),
    ]


def ground_checks(
    moments: Sequence[Moment], followers: Sequence[Moment | None], declaration: Declaration
) -> list[Check]:
    """Whether images agree on the colours of the ground: between cameras, and over time.

    Args:
        moments: to look at.
        followers: the sample after each, where there is one.
        declaration: the reading.
    """
    seams: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    motion: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    points = _ground_points()
    for moment, follower in zip(moments, followers):
        seen = _ground_details(moment, declaration, points)
        for i, (details, inside) in enumerate(seen):
            for other, also in seen[i + 1 :]:
                both = inside & also
                seams.append((details[both], other[both]))
        now = world_T_base(moment.sample, declaration)
        then = None if follower is None else world_T_base(follower.sample, declaration)
        if follower is None or now is None or then is None:
            continue
        then_T_now = invert_rigid(then) @ now
        if not 0.2 < np.linalg.norm(then_T_now[:3, 3]) < 15.0:
            continue
        moved = points @ then_T_now[:3, :3].T + then_T_now[:3, 3]
        for (details, inside), (later, also) in zip(
            seen, _ground_details(follower, declaration, moved)
        ):
            both = inside & also
            motion.append((details[both], later[both]))
    checks = []
    for name, pairs, words in (
        ("ground in two cameras", seams, "correlation of the ground's details between cameras"),
        ("ground over time", motion, "correlation of the ground's details between samples"),
    ):
        count = sum(len(pair[0]) for pair in pairs)
        if count < MIN_POINTS:
            continue
        value = correlation(
            np.concatenate([pair[0] for pair in pairs]), np.concatenate([pair[1] for pair in pairs])
        )
        text = f"{words} {value:.2f} ({count} points)"
        checks.append(Check(name, max(value, 0.0), 0.0, text, SEEN_WEIGHT))
    return checks


def _outward(poses: NDArray[np.float64]) -> list[Check]:
    """Cameras of a rig look away from each other's middle, not across the vehicle."""
    outward = outward_m(poses)
    if outward is None:
        return []
    value = float((outward > -0.3).mean())
    words = f"metres from the rig's middle along each view {_span(outward)}, expected positive"
    return [Check("looking outward", value, 0.75, words)]


def _named(poses: NDArray[np.float64], declaration: Declaration) -> list[Check]:
    wrong, known = [], 0
    for name, pose in zip(declaration.cameras, poses):
        told = name_direction(name)
        if told is None or np.linalg.norm(pose[:2, 2]) < 0.1:
            continue
        known += 1
        azimuth = float(np.degrees(np.arctan2(pose[1, 2], pose[0, 2])))
        if abs((azimuth - told + 180) % 360 - 180) > _NAME_TOLERANCE_DEG:
            wrong.append(f"{name} looks {side_of(azimuth)}")
    if not known:
        return []
    words = ", ".join(wrong) if wrong else "cameras look where their names say"
    return [Check("names", 1 - len(wrong) / known, 1.0, words)]


def _stored_relations(moments: Sequence[Moment], declaration: Declaration) -> list[Check]:
    """cam0_T_camXs, where it is stored too, follows from the extrinsics."""
    errors = []
    for moment in moments:
        stored = moment.sample.cam0_T_cams
        if stored is None:
            continue
        ego_T_cameras = moment.sample.extrinsics
        if declaration.extrinsics == "camera_T_ego":
            ego_T_cameras = invert_rigid(ego_T_cameras)
        errors.append(np.abs(invert_rigid(ego_T_cameras[0]) @ ego_T_cameras - stored).max())
    if not errors:
        return []
    words = f"cam0_T_camXs differs from the extrinsics' by up to {max(errors):.2g}"
    return [Check("cam0_T_camXs", float(max(errors) < 1e-2), 1.0, words)]


def _ground_points() -> NDArray[np.float64]:
    """(N, 3) metres in base_link, denser near the vehicle."""
    radii = np.geomspace(3.0, 25.0, 40)
    angles = np.radians(np.arange(0.0, 360.0, 1.5))
    r, a = (each.ravel() for each in np.meshgrid(radii, angles))
    return np.stack([r * np.cos(a), r * np.sin(a), np.zeros_like(r)], axis=1)


def _ground_details(
    moment: Moment, declaration: Declaration, points: NDArray[np.float64]
) -> list[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Per camera: details (N, 3) of the images at points in base_link, and which it sees."""
    result = []
    poses = base_T_cameras(moment.sample, declaration)
    for pose, matrix, details in zip(poses, moment.sample.intrinsics, moment.details):
        pixels = project(points, pose, matrix, moment.scale)
        result.append(look_up(details, pixels))
    return result


def project(
    points: NDArray[np.float64],
    base_T_camera: NDArray[np.float64],
    matrix: NDArray[np.float64],
    scale: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(N, 2) thumbnail pixels of points (N, 3) in base_link; NaN behind the camera.

    Half a pixel of the full image does not matter here.
    """
    camera = (points - base_T_camera[:3, 3]) @ base_T_camera[:3, :3]
    depth = np.where(camera[:, 2] > 0.3, camera[:, 2], np.nan)
    pixels = camera @ matrix.T
    return np.asarray((pixels[:, :2] / depth[:, None] + 0.5) * scale - 0.5)


def _span(values: NDArray[np.floating]) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:+.2f}" if high - low < 0.005 else f"{low:+.2f} to {high:+.2f}"
