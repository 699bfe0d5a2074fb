# SPDX-License-Identifier: Apache-2.0
"""Checks that images show something, and something new each time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bev_perception.doctor.finding import Finding, Findings, Severity
from bev_perception.doctor.image_content import NOISY_SIGMA, Content, content
from bev_perception.doctor.recording import CameraTrack, Observation
from bev_perception.doctor.sight import decoded
from bev_perception.geometry import RigidTransform

_MOST = 0.5
_MOVED_M = 0.03
_FEWEST_STEPS = 5
_SOME_REPEATS, _MOST_REPEATS = 0.05, 0.5

_CAUSES = {
    "noisy": (
        "a gain that is turned up too far, a loose cable, or a sensor that reads nothing",
        "look at the camera's exposure and gain, its cable and its driver",
    ),
    "black": (
        "a covered lens, no exposure, or a driver that sends empty buffers",
        "look at the lens cap, the exposure and the driver",
    ),
    "nearly black": (
        "too short an exposure, a covered lens, or a dark night",
        "let the camera set its exposure",
    ),
    "white": (
        "too long an exposure, or the sun in the lens",
        "let the camera set its exposure",
    ),
    "overexposed": (
        "too long an exposure, or the sun in the lens",
        "let the camera set its exposure",
    ),
    "of one colour": (
        "a covered lens, or a driver that sends a test or error picture",
        "look at the lens and the driver",
    ),
}


def check_content(seen: Observation, so_far: Findings) -> Iterator[Finding]:
    """Black, white, constant, noisy images among those that are kept."""
    for name, track in seen.cameras.items():
        images = [image for image in map(decoded, track.samples) if image is not None]
        judged = [content(image) for image in images]
        problems = Counter(each.problem for each in judged if each.problem)
        if problems:
            yield _bad_content(name, problems, judged, images)


def _bad_content(
    name: str,
    problems: Counter[str],
    judged: list[Content],
    images: list[NDArray[np.uint8]],
) -> Finding:
    problem, count = problems.most_common(1)[0]
    index = next(i for i, each in enumerate(judged) if each.problem == problem)
    worst = judged[index]
    if problem == "noisy":
        value = f"noise of {worst.noise:.0f} grey levels where the image is smoothest"
        expected = f"below {NOISY_SIGMA:g}; usual are 1 to 5"
    else:
        value = (
            f"96 % of the pixels lie between {worst.low:.0f} and {worst.high:.0f} of 255, "
            f"{100 * worst.dark_share:.0f} % at 0 and {100 * worst.bright_share:.0f} % at 255"
        )
        expected = "images that use the scale"
    cause, fix = _CAUSES[problem]
    often = count > _MOST * len(judged)
    grave = often and problem not in ("nearly black", "overexposed")
    return Finding(
        "image-content",
        Severity.ERROR if grave else Severity.WARNING,
        f"{count} of {len(judged)} images that were looked at are {problem}: {value}",
        camera=name,
        expected=expected,
        cause=cause,
        fix=fix,
        picture=images[index],
        picture_text=f"One of the images that are {problem}.",
    )


def check_frozen(seen: Observation, so_far: Findings) -> Iterator[Finding]:
    """The same image again while the vehicle moves; all images are compared, not just the kept."""
    unsure = []
    for name, track in seen.cameras.items():
        if len(track.digests) < 2 or so_far.has_error("image-content", camera=name):
            continue
        repeats = np.flatnonzero(track.digests[1:] == track.digests[:-1])
        if not len(repeats):
            continue
        moved = _moved(seen, track)
        if moved is None or moved.sum() < _FEWEST_STEPS:
            unsure.append(name)
            continue
        stale = int(moved[repeats].sum())
        share = stale / int(moved.sum())
        if share > _SOME_REPEATS:
            yield _frozen(name, track, stale, int(moved.sum()), share)
    if unsure:
        yield Finding(
            "image-frozen",
            Severity.NOTE,
            f"images of {', '.join(unsure)} repeat; whether they are frozen was not judged, "
            f"because the vehicle stood or its pose is not known",
            expected="a new image each time",
            fix="record while the vehicle drives",
        )


def _frozen(name: str, track: CameraTrack, stale: int, steps: int, share: float) -> Finding:
    picture = next((i for i in map(decoded, track.samples) if i is not None), None)
    return Finding(
        "image-frozen",
        Severity.ERROR if share > _MOST_REPEATS else Severity.WARNING,
        f"{stale} of {steps} images taken on the move are the image before, byte for byte, under "
        f"a new stamp",
        camera=name,
        expected="a new image each time",
        cause="a driver or bridge that repeats its buffer because the camera has stopped, or "
        "that sends at a higher rate than the camera",
        fix="restart the camera; let the driver send only new images, with the time of exposure",
        picture=picture,
        picture_text="The image that is repeated.",
    )


def _moved(seen: Observation, track: CameraTrack) -> NDArray[np.bool_] | None:
    """(n - 1,) whether the vehicle moved from each image to the next; None without poses."""
    poses: list[RigidTransform | None] = [
        seen.world_T_base(int(stamp)) for stamp in track.stamps_ns
    ]
    if sum(pose is not None for pose in poses) < 2:
        return None
    return np.array(
        [
            a is not None
            and b is not None
            and float(np.linalg.norm(b.translation - a.translation)) > _MOVED_M
            for a, b in pairwise(poses)
        ]
    )
