# SPDX-License-Identifier: Apache-2.0
"""Do the cameras sit and look where cameras on a vehicle do, and where their names say?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from bev_perception.doctor.finding import Finding, Findings, Severity
from bev_perception.doctor.recording import Observation
from bev_perception.geometry import RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.geometry.usual_mountings import (
    HEIGHTS_M,
    REACH_M,
    name_direction,
    outward_m,
    side_of,
)

NAME_TOLERANCE_DEG = 60.0
STEEPEST_DEG = 60.0
"""Cameras that look at the road or along it are less steep."""

MOST_ROLL_DEG = 30.0
SAME_PLACE_M, SAME_VIEW_DEG = 0.01, 1.0
MILLIMETRES = 100.0
"""Metres beyond which a position is in millimetres."""

_INWARD_M = -0.3


def check_optical_frames(seen: Observation, _: Findings) -> Iterator[Finding]:
    """CameraInfo's frame is an optical one: x right, y down, z forward."""
    suspects = {
        name: entry.base_T_camera
        for name, entry in seen.rig_cameras.items()
        if _is_odd(entry.base_T_camera) and _fits(name, entry.base_T_camera @ BODY_T_OPTICAL)
    }
    for name, pose in suspects.items():
        frame = seen.rig_cameras[name].frame_id
        hint = "" if "optical" in frame else f"; the name {frame!r} does not say optical either"
        yield Finding(
            "optical-frame",
            Severity.ERROR,
            f"z of frame {frame!r} points {_pointing(pose.rotation[:, 2])} and its y "
            f"{_pointing(pose.rotation[:, 1])}: x forward, y left, z up{hint}",
            camera=name,
            expected="z along the view, x right, y down (REP-103's optical frame)",
            cause="images or CameraInfo name the camera's body frame in header.frame_id, or TF "
            "lacks the turn from the body frame to the optical one",
            fix="add an optical link below each such frame to the URDF (roll -90, pitch 0, yaw -90 "
            "degrees) and name it in the driver's frame_id; or give the mounting in a rig file",
        )


def check_mountings(seen: Observation, so_far: Findings) -> Iterator[Finding]:
    """Height, reach, roll and steepness."""
    for name, entry in seen.rig_cameras.items():
        if so_far.has_error("optical-frame", camera=name):
            continue
        pose = entry.base_T_camera
        yield from _place(seen, name, pose)
        yield from _attitude(name, pose)
    yield from _twins(seen)


def check_directions(seen: Observation, so_far: Findings) -> Iterator[Finding]:
    """Names against views; a rig with left and right exchanged."""
    poses = {
        name: entry.base_T_camera
        for name, entry in seen.rig_cameras.items()
        if not so_far.has_error("optical-frame", "mounting", camera=name)
    }
    wrong = {name for name, pose in poses.items() if _off_name(name, pose) > NAME_TOLERANCE_DEG}
    sided = {name for name in poses if (name_direction(name) or 0.0) % 180.0}
    crossed = {name for name in sided if _across_name(name, poses[name])}
    if not wrong and not crossed:
        yield from _inward(poses)
        return
    cause, fix = _why_crossed(poses, sided, wrong, crossed)
    for name in [each for each in poses if each in wrong | crossed]:
        pose = poses[name]
        azimuth = _azimuth_deg(pose)
        told = name_direction(name) or 0.0
        yield Finding(
            "directions",
            Severity.ERROR,
            f"looks {side_of(azimuth)} and sits at x {pose.translation[0]:+.2f}, "
            f"y {pose.translation[1]:+.2f} m (y is to the left)",
            camera=name,
            expected=f"as its name says: looking {side_of(told)}, from that side of the vehicle",
            cause=cause,
            fix=fix,
        )


def _why_crossed(
    poses: Mapping[str, RigidTransform], sided: set[str], wrong: set[str], crossed: set[str]
) -> tuple[str, str]:
    """Cause and fix of cameras that look or sit where their names do not say."""
    turned = {name for name in wrong if _mirrored_fits(name, poses[name])}
    if sided and turned >= sided and crossed >= sided:
        return (
            "left and right are exchanged: y and yaw of a left-handed system (CARLA, Unreal: y to "
            "the right) taken as they are, or the names swapped",
            "change the sign of y and yaw (and of roll) where the mounting comes from; if the "
            "mounting is right, swap the cameras' topics",
        )
    if sided and turned >= sided and not crossed:
        return (
            "yaw of the wrong sign: a left-handed system's angle (CARLA: clockwise from above)",
            "change the sign of yaw where the mounting comes from",
        )
    if sided and crossed >= sided and not wrong:
        return (
            "y of the wrong sign: a left-handed system's position (CARLA: y to the right)",
            "change the sign of y where the mounting comes from",
        )
    if len(wrong) == 2:
        return (
            "the two cameras are exchanged: swapped cables, serial numbers or topics",
            "swap their topics or their mountings",
        )
    return (
        "a wrong yaw in the mounting (degrees for radians, another zero), or topics that are "
        "mixed up",
        "correct the mounting, or the assignment of topics to cameras",
    )


def _place(seen: Observation, name: str, pose: RigidTransform) -> Iterator[Finding]:
    x, y, z = (float(value) for value in pose.translation)
    (low, high), (far_x, far_y) = HEIGHTS_M, REACH_M
    where = f"at x {x:.2f}, y {y:.2f}, z {z:.2f} m in {seen.base_frame}"
    if max(abs(x), abs(y), abs(z)) > MILLIMETRES:
        cause = "millimetres in place of metres, or a transform to the map in place of the vehicle"
    elif abs(x) > far_x or abs(y) > far_y:
        cause = "a position in other units, or of another vehicle frame"
    elif z < low:
        cause = (
            f"{seen.base_frame} is not on the ground (an IMU's, a sensor's or the roof's frame), z "
            f"points down in the mounting's source, or the height was left out"
        )
    elif z > high:
        cause = f"{seen.base_frame} lies below the road, or the height is in other units"
    else:
        return
    yield Finding(
        "mounting",
        Severity.ERROR,
        where,
        camera=name,
        expected=f"z from {low:g} to {high:g} m above the road, x within {far_x:g} and y within "
        f"{far_y:g} m",
        cause=cause,
        fix="measure the mounting from the road below the rear axle; name another base_frame in a "
        "rig file, or correct the URDF",
    )


def _attitude(name: str, pose: RigidTransform) -> Iterator[Finding]:
    view, down = pose.rotation[:, 2], pose.rotation[:, 1]
    pitch_deg = math.degrees(math.asin(float(np.clip(view[2], -1, 1))))
    roll_deg = _roll_deg(pose)
    if abs(pitch_deg) > STEEPEST_DEG:
        yield Finding(
            "mounting",
            Severity.ERROR,
            f"looks {abs(pitch_deg):.0f} degrees {'up' if pitch_deg > 0 else 'down'}",
            camera=name,
            expected=f"less than {STEEPEST_DEG:.0f} degrees",
            cause="axes of the camera in another order, the turn to the optical frame made twice "
            "or inverted, or degrees taken as radians",
            fix="correct the rotation: z along the view, x right, y down",
        )
    elif abs(roll_deg) > 150.0:
        yield Finding(
            "mounting",
            Severity.WARNING,
            f"the image's downward axis points {_pointing(down)}: rolled by {roll_deg:.0f} degrees",
            camera=name,
            expected="down",
            cause="a camera that hangs upside down (then its image is upside down too), or roll of "
            "180 degrees too much in the mounting",
            fix="turn the image in the driver and the mounting with it",
        )
    elif abs(roll_deg) > MOST_ROLL_DEG:
        yield Finding(
            "mounting",
            Severity.ERROR,
            f"rolled by {roll_deg:.0f} degrees about its view",
            camera=name,
            expected=f"less than {MOST_ROLL_DEG:.0f} degrees",
            cause="axes of the camera in another order, or roll and pitch exchanged",
            fix="correct the rotation: z along the view, x right, y down",
        )


def _twins(seen: Observation) -> Iterator[Finding]:
    """Cameras at one place with one view: a mounting that was copied."""
    entries = list(seen.rig_cameras.items())
    for index, (name, entry) in enumerate(entries):
        for other, mate in entries[:index]:
            mate_pose = mate.base_T_camera
            apart = entry.base_T_camera.inverse() @ mate_pose
            turned = math.degrees(entry.base_T_camera.angle_to(mate_pose))
            if np.linalg.norm(apart.translation) < SAME_PLACE_M and turned < SAME_VIEW_DEG:
                wrong, right = sorted((name, other), key=lambda each: -_off_name(each, mate_pose))
                yield Finding(
                    "mounting",
                    Severity.ERROR,
                    f"has the mounting of camera {right}",
                    camera=wrong,
                    expected="a mounting of its own",
                    cause="one frame_id for two cameras, or a copied line in the URDF",
                    fix="give each driver its own frame_id, and each frame its own transform",
                )


def _inward(poses: Mapping[str, RigidTransform]) -> Iterator[Finding]:
    if len(poses) < 3:
        return
    outward = outward_m(np.stack([pose.matrix for pose in poses.values()]))
    for name, value in zip(poses, outward if outward is not None else ()):
        if value < _INWARD_M:
            yield Finding(
                "directions",
                Severity.WARNING,
                f"looks across the vehicle: it sits {-value:.2f} m behind the rig's middle, seen "
                f"along its own view",
                camera=name,
                expected="a view that leads away from the vehicle",
                cause="y or yaw of the wrong sign",
                fix="compare with the vehicle: y is to the left, yaw counter-clockwise",
            )


def _is_odd(base_T_camera: RigidTransform) -> bool:
    """Whether an optical frame looks to the sky or the ground, or is rolled far."""
    view = float(np.clip(base_T_camera.rotation[2, 2], -1, 1))
    if abs(math.degrees(math.asin(view))) > STEEPEST_DEG:
        return True
    return abs(_roll_deg(base_T_camera)) > MOST_ROLL_DEG


def _fits(name: str, base_T_camera: RigidTransform) -> bool:
    """Whether a camera of that name may be mounted so."""
    return not _is_odd(base_T_camera) and _off_name(name, base_T_camera) <= NAME_TOLERANCE_DEG


def _roll_deg(pose: RigidTransform) -> float:
    """Turn of the image about the view against a level one, degrees."""
    view = pose.rotation[:, 2]
    level_right = np.cross(view, (0.0, 0.0, 1.0))
    length = float(np.linalg.norm(level_right))
    if length < 1e-6:
        return 0.0
    level_right /= length
    level_down = np.cross(view, level_right)
    right: NDArray[np.float64] = pose.rotation[:, 0]
    return math.degrees(math.atan2(float(right @ level_down), float(right @ level_right)))


def _azimuth_deg(pose: RigidTransform) -> float:
    return math.degrees(math.atan2(pose.rotation[1, 2], pose.rotation[0, 2]))


def _off_name(name: str, pose: RigidTransform) -> float:
    """Degrees between the view and where the name says; 0 for names that say nothing."""
    told = name_direction(name)
    if told is None:
        return 0.0
    return abs((_azimuth_deg(pose) - told + 180.0) % 360.0 - 180.0)


def _mirrored_fits(name: str, pose: RigidTransform) -> bool:
    told = name_direction(name) or 0.0
    return abs((-_azimuth_deg(pose) - told + 180.0) % 360.0 - 180.0) <= NAME_TOLERANCE_DEG


def _across_name(name: str, pose: RigidTransform) -> bool:
    """Whether a camera with left or right in its name sits clearly on the other side."""
    side = math.sin(math.radians(name_direction(name) or 0.0))
    return bool(pose.translation[1] * side < -0.1)


def _pointing(axis: NDArray[np.float64]) -> str:
    words = (("forward", "back"), ("left", "right"), ("up", "down"))
    index = int(np.argmax(np.abs(axis)))
    return words[index][0 if axis[index] > 0 else 1]
