# SPDX-License-Identifier: Apache-2.0
"""Is the vehicle frame level, on the ground, and does it drive forward? From the ego poses."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from bev_perception.doctor.finding import Finding, Findings, Severity
from bev_perception.doctor.recording import Observation
from bev_perception.errors import TransformError
from bev_perception.geometry import RigidTransform

TILTS_DEG = (6.0, 15.0)
"""Usual tilt against gravity, degrees, that is odd, and that is wrong: roads are less steep."""

GROUND_FRAMES = ("base_footprint", "footprint", "ground")
MOST_ABOVE_M = 0.15
"""base_link lies on the ground; this much above it is told."""

_MOST_POSES = 200
_STEP_M = 0.3
_FEWEST_STEPS = 3
_SLIP_DEG = 45.0


def check_poses(seen: Observation, so_far: Findings) -> Iterator[Finding]:
    """An ego pose at the images' times, tilt against gravity, driving forward."""
    stamps = [track.stamps_ns for track in seen.cameras.values() if len(track.stamps_ns)]
    if not stamps or not seen.base_frame or so_far.has_error("tf-time", "tf-publishers", "stamps"):
        return
    chosen = np.unique(np.concatenate(stamps))
    chosen = chosen[np.linspace(0, len(chosen) - 1, min(len(chosen), _MOST_POSES)).astype(int)]
    found = [(int(s), seen.world_T_base(int(s))) for s in chosen]
    poses = [(stamp, pose) for stamp, pose in found if pose is not None]
    if len(poses) < len(found) / 2 and not so_far.has_error("quaternions"):
        yield Finding(
            "ego-pose",
            Severity.NOTE,
            f"no ego pose at {len(found) - len(poses)} of {len(found)} times of images",
            expected=f"/tf from map or odom to {seen.base_frame}, or odometry",
            cause="no localisation or odometry, or it was not recorded",
            fix="record /tf and odometry; without them maps are not levelled and objects have no "
            "velocity",
        )
    if poses:
        yield from _tilt(seen.base_frame, [pose for _, pose in poses])
        yield from _driving(seen.base_frame, [pose for _, pose in poses])


def check_base_frame(seen: Observation, _: Findings) -> Iterator[Finding]:
    """The vehicle frame lies on the ground, where TF has a frame that says where that is."""
    for frame in GROUND_FRAMES:
        if frame not in seen.tree.frames or frame == seen.base_frame or not seen.base_frame:
            continue
        try:
            latest = seen.tree.latest_ns(frame, seen.base_frame)
            pose = seen.tree.lookup(frame, seen.base_frame, latest or 0)
        except TransformError:
            continue
        above = float(pose.translation[2])
        if abs(above) > MOST_ABOVE_M:
            yield Finding(
                "base-frame",
                Severity.WARNING,
                f"{seen.base_frame} is {above:+.2f} m above {frame!r}",
                expected="0: the grid and the network's heights count from the vehicle frame's "
                "plane z = 0, the ground",
                cause="a vehicle frame at the rear axle's height or in an IMU",
                fix=f"name {frame} as base_frame in a rig file (--rig)",
            )
        return


def _tilt(base_frame: str, poses: list[RigidTransform]) -> Iterator[Finding]:
    up = np.median([pose.rotation[2] for pose in poses], axis=0)  # world's up in base_link
    roll, pitch = math.degrees(math.atan2(up[1], up[2])), math.degrees(math.atan2(-up[0], up[2]))
    tilt = math.degrees(math.atan2(math.hypot(up[0], up[1]), up[2]))
    odd, wrong = TILTS_DEG
    if tilt <= odd:
        return
    yield Finding(
        "ego-pose",
        Severity.ERROR if tilt > wrong else Severity.WARNING,
        f"{base_frame} is usually tilted against gravity: roll {round(roll):+d}, pitch "
        f"{round(pitch):+d} degrees (nose down is positive)",
        expected=f"about 0 over a drive, less than {odd:g}",
        cause="axes of the localisation's body frame (NED: z down, y right) taken as base_link's"
        if tilt > 60
        else "an IMU that is mounted at an angle and not corrected, or a mounting written into the "
        "wrong transform",
        fix="correct the transform between the IMU or localisation and the vehicle frame",
    )


def _driving(base_frame: str, poses: list[RigidTransform]) -> Iterator[Finding]:
    """Wheels do not slip sideways: a step goes half way between the headings at its ends."""
    slips = []
    last = poses[0]
    for pose in poses[1:]:
        step = last.inverse() @ pose
        if np.linalg.norm(step.translation[:2]) < _STEP_M:
            continue
        direction = math.atan2(step.translation[1], step.translation[0]) - step.yaw / 2
        slips.append(math.degrees((direction + math.pi) % (2 * math.pi) - math.pi))
        last = pose
    if len(slips) < _FEWEST_STEPS:
        return
    sideways = [slip for slip in slips if _SLIP_DEG < abs(slip) < 180 - _SLIP_DEG]
    if len(sideways) < 0.7 * len(slips):
        return
    usual = float(np.median(sideways))
    yield Finding(
        "ego-pose",
        Severity.ERROR,
        f"{base_frame} drives {usual:+.0f} degrees off its x axis in {len(sideways)} of "
        f"{len(slips)} steps",
        expected="forward or backward: x is the way ahead",
        cause="heading in another convention (clockwise from north), or a localisation whose body "
        "frame is turned by 90 degrees",
        fix="convert the heading to yaw counter-clockwise from x (east), x of the vehicle ahead",
    )
