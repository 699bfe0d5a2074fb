# SPDX-License-Identifier: Apache-2.0
"""Does the ego vehicle drive forward on level ground, while parked things stay where they are?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import BevError
from bev_perception.geometry.axes import invert_rigid
from bev_perception.samples.declaration import Declaration
from bev_perception.samples.evidence import SEEN_WEIGHT, Check, Moment
from bev_perception.samples.interpretation import BoxArrays, sample_boxes, world_T_base

MOVED_M = 0.2
"""A shorter step does not tell a direction."""

_STANDING_M = 0.3
_SAME_SIZE_M = 0.02
_FARTHEST_STEP_M = 12.0
_MIN_DRIVING = 6


def pose_checks(
    moments: Sequence[Moment], followers: Sequence[Moment | None], declaration: Declaration
) -> list[Check]:
    """Empty where no poses are stored."""
    poses = [world_T_base(each.sample, declaration) for each in moments]
    known = np.array([pose for pose in poses if pose is not None])
    if not len(known):
        return []
    rotations = known[:, :3, :3]
    determinants = np.linalg.det(rotations)
    tilts = np.degrees(np.arccos(np.clip(rotations[:, 2, 2], -1, 1)))
    checks = [
        Check(
            "pose rotations", float((determinants > 0.99).mean()), 1.0,
            f"determinants {determinants.min():+.2f} to {determinants.max():+.2f}",
        ),
        Check(
            "level vehicle", float((tilts < 25).mean()), 0.9,
            f"its z axis is up to {tilts.max():.1f} deg off the world's",
        ),
    ]  # fmt: skip
    steps = []
    for pose, follower in zip(poses, followers):
        then = None if follower is None else world_T_base(follower.sample, declaration)
        if pose is None or then is None:
            continue
        now_T_then = invert_rigid(pose) @ then
        if np.linalg.norm(now_T_then[:2, 3]) > MOVED_M:
            steps.append(now_T_then)
    if steps:
        checks += _driving(np.array(steps))
        checks += parked_checks(moments, followers, declaration)
    return checks


def _driving(now_T_then: NDArray[np.float64]) -> list[Check]:
    """Wheels do not slip sideways: a step points half way between the headings at its ends."""
    directions = np.arctan2(now_T_then[:, 1, 3], now_T_then[:, 0, 3])
    turns = np.arctan2(now_T_then[:, 1, 0], now_T_then[:, 0, 0])
    slips = np.degrees(np.abs((directions - turns / 2 + np.pi) % (2 * np.pi) - np.pi))
    ahead = float((slips < 25).mean())
    backward = float((slips > 155).mean())
    words = f"{100 * ahead:.0f} % of {len(slips)} steps go where the vehicle points"
    if backward > 0.5:
        words += ", most others straight back"
    return [Check("driving forward", ahead, 0.5, words)]


def parked_checks(
    moments: Sequence[Moment], followers: Sequence[Moment | None], declaration: Declaration
) -> list[Check]:
    """Boxes that have one of the same size at the same place of the world in the next sample."""
    stays, total = 0, 0
    for moment, follower in zip(moments, followers):
        boxes = _in_world(moment, declaration)
        later = None if follower is None else _in_world(follower, declaration)
        if boxes is None or later is None or not len(boxes) or not len(later):
            continue
        distance = np.linalg.norm(boxes.centers[:, None] - later.centers[None], axis=2)
        alike = np.abs(boxes.sizes[:, None] - later.sizes[None]).max(axis=2) < _SAME_SIZE_M
        stays += int(((distance < _STANDING_M) & alike).any(axis=1).sum())
        total += len(boxes)
    if total < 10:
        return []
    words = f"{100 * stays / total:.0f} % of {total} boxes stay where they are in the world"
    return [Check("parked objects", stays / total, 0.0, words, SEEN_WEIGHT)]


def heading_checks(
    moments: Sequence[Moment], followers: Sequence[Moment | None], declaration: Declaration
) -> list[Check]:
    """What drives, drives forward.

    An object is found again by its id where ids are stable, else by its size, when only one of
    that size is near and none stayed.
    """
    cosines: list[float] = []
    for moment, follower in zip(moments, followers):
        boxes = _in_world(moment, declaration)
        later = None if follower is None else _in_world(follower, declaration)
        if boxes is None or later is None:
            continue
        step = later.centers[None] - boxes.centers[:, None]
        distance = np.linalg.norm(step, axis=2)
        if declaration.object_ids == "stable":
            same = boxes.ids[:, None] == later.ids[None]
        else:
            same = np.abs(boxes.sizes[:, None] - later.sizes[None]).max(axis=2) < _SAME_SIZE_M
            same &= distance < _FARTHEST_STEP_M
        moved = (same.sum(axis=1) == 1) & ~(same & (distance < 2 * _STANDING_M)).any(axis=1)
        for number in np.flatnonzero(moved):
            other = int(np.argmax(same[number]))
            if distance[number, other] < _FARTHEST_STEP_M:
                direction = step[number, other] / distance[number, other]
                cosines.append(float(direction @ boxes.rotations[number, :, 0]))
    if len(cosines) < _MIN_DRIVING:
        return []
    share = float((np.array(cosines) > 0.85).mean())
    words = f"{100 * share:.0f} % of {len(cosines)} moving boxes go where they point"
    return [Check("boxes drive forward", share, 0.0, words, SEEN_WEIGHT)]


def _in_world(moment: Moment, declaration: Declaration) -> BoxArrays | None:
    """Boxes in the world; None where they, or the pose, are not known."""
    try:
        boxes = sample_boxes(moment.sample, declaration)
    except BevError:
        return None  # boxes that cannot be read so are judged as boxes, not here
    pose = world_T_base(moment.sample, declaration)
    if boxes is None or pose is None:
        return None
    return replace(
        boxes,
        centers=boxes.centers @ pose[:3, :3].T + pose[:3, 3],
        rotations=pose[:3, :3] @ boxes.rotations,
    )
