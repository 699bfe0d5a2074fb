# SPDX-License-Identifier: Apache-2.0
"""Do boxes stand on the ground, have the sizes of what they are, and fit what images show?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import VEHICLE_CLASSES
from bev_perception.geometry.outlines import outline_scores
from bev_perception.samples.camera_evidence import project
from bev_perception.samples.declaration import Declaration
from bev_perception.samples.evidence import SEEN_WEIGHT, Check, Moment
from bev_perception.samples.interpretation import BoxArrays, base_T_cameras, sample_boxes

NEAR_M = 30.0
"""Boxes within this distance are judged by their place: a flat world ends somewhere."""

OUTLINE_M = 35.0
MIN_BOXES = 4

RIGHT_SHARE = 0.6
"""Of outlines that images change across; 0.8 to 0.9 is usual, 0.5 is chance."""

MIN_OUTLINES, MIN_OUTLINES_PER_CAMERA = 40, 20
"""So many make a share below RIGHT_SHARE no accident."""

_LENGTHS_M = (1.2, 20.0)
_WIDTHS_M = (0.3, 3.6)
_HEIGHTS_M = (0.8, 4.8)
_MEDIAN_HEIGHTS_M = (1.15, 3.6)


def box_checks(moments: Sequence[Moment], declaration: Declaration) -> list[Check]:
    """Everything but images; empty where there are no boxes."""
    readings = [sample_boxes(each.sample, declaration) for each in moments]
    all_boxes = [boxes for boxes in readings if boxes is not None and len(boxes)]
    if sum(map(len, all_boxes)) < MIN_BOXES:
        return []
    rotations = np.concatenate([boxes.rotations for boxes in all_boxes])
    sizes = np.concatenate([boxes.sizes for boxes in all_boxes])
    centers = np.concatenate([boxes.centers for boxes in all_boxes])
    vehicles = np.array([label in VEHICLE_CLASSES for b in all_boxes for label in b.labels])
    are_labelled = all(
        each.sample.boxes is None or each.sample.boxes.labels is not None for each in moments
    )
    proper = np.linalg.det(rotations) > 0.99
    upright = rotations[:, 2, 2] > 0.85
    checks = [
        Check(
            "box rotations", float(proper.mean()), 1.0,
            f"{100 * proper.mean():.0f} % of {len(proper)} are right-handed",
        ),
        Check(
            "boxes upright", float(upright.mean()), 0.8,
            f"{100 * upright.mean():.0f} % have their z axis upwards",
        ),
        *_on_the_ground(rotations, centers, sizes),
        _apart(moments, readings, declaration),
        *_sizes(sizes[vehicles], are_labelled),
        *_angle_range(moments, declaration),
    ]  # fmt: skip
    return checks


def outline_checks(moments: Sequence[Moment], declaration: Declaration) -> list[Check]:
    """Whether images change across the boxes' outlines more than beside them.

    Where it is known which boxes are visible, chance alone refuses: then images, calibration and
    boxes do not belong together, however the numbers are read.
    """
    better = np.zeros(len(moments[0].sample.intrinsics), dtype=int)
    total, in_view, asked = np.zeros_like(better), 0, 0
    for moment in moments:
        boxes = sample_boxes(moment.sample, declaration)
        if boxes is None or not len(boxes):
            continue
        seen = np.zeros(len(boxes), dtype=bool)
        for index, camera, hull in _hulls(moment, boxes, declaration):
            seen[index] = True
            if np.ptp(hull, axis=0).min() < 4 or boxes.visibility[index] < 0.5:
                continue
            scores = outline_scores(moment.gradients[camera], hull)
            if scores is not None:
                better[camera] += scores[0] > scores[1]
                total[camera] += 1
        distance = np.linalg.norm(boxes.centers[:, :2], axis=1)
        flagged = (boxes.visibility > 0.5) & (distance < 2 * NEAR_M)
        in_view += int((seen & flagged).sum())
        asked += int(flagged.sum())
    if asked < MIN_BOXES:
        return _outline_check(better, total, 0.0)
    words = f"{100 * in_view / asked:.0f} % of {asked} boxes that are said to be visible are "
    return [
        Check("in view", in_view / asked, 0.5, f"{words}in an image"),
        *_outline_check(better, total, 2 * RIGHT_SHARE - 1),
        *_outlines_by_camera(better, total, declaration),
    ]


def _outline_check(better: NDArray[np.int_], total: NDArray[np.int_], needed: float) -> list[Check]:
    count = int(total.sum())
    if count < 10:
        return []
    share = float(better.sum() / count)
    words = f"images change more across {100 * share:.0f} % of {count} outlines than beside them "
    value = max(2 * share - 1, 0.0)
    needed = needed if count >= MIN_OUTLINES else 0.0
    words += "(chance: 50 %)"
    if value < needed:
        words += "; images, calibration and boxes may be of different cameras or moments"
    return [Check("outlines", value, needed, words, SEEN_WEIGHT)]


def _outlines_by_camera(
    better: NDArray[np.int_], total: NDArray[np.int_], declaration: Declaration
) -> list[Check]:
    """One camera's images may be another's while the others are right."""
    enough = np.flatnonzero(total >= MIN_OUTLINES_PER_CAMERA)
    shares = better[enough] / total[enough]
    wrong = shares < RIGHT_SHARE
    if not wrong.any() or len(total) != len(declaration.cameras):
        return []
    told = ", ".join(
        f"{declaration.cameras[camera]} {100 * share:.0f} % of {total[camera]}"
        for camera, share in zip(enough[wrong], shares[wrong])
    )
    words = f"{told} outlines (chance: 50 %); its images or intrinsics may be another camera's"
    return [Check("outlines by camera", 1.0 - float(wrong.mean()), 1.0, words)]


def _on_the_ground(
    rotations: NDArray[np.float64], centers: NDArray[np.float64], sizes: NDArray[np.float64]
) -> list[Check]:
    """Each near box roughly, for roads have slopes, and their median closely."""
    bottoms = centers[:, 2] - 0.5 * sizes[:, 2] * np.abs(rotations[:, 2, 2])
    distance = np.linalg.norm(centers[:, :2], axis=1)
    near = distance < NEAR_M if (distance < NEAR_M).sum() >= MIN_BOXES else distance < np.inf
    standing = np.abs(bottoms[near]) < 0.35 + 0.03 * distance[near]
    median = float(np.median(bottoms[near]))
    words = f"the bottoms of {near.sum()} near boxes are {median:+.2f} m high in the median"
    if 0.4 < abs(median) < 4.0:
        words += "; if they are the boxes' middles see box_origin, else the height in ego_origin"
    return [
        Check(
            "boxes on the ground", float(standing.mean()), 0.4,
            f"{100 * standing.mean():.0f} % of {near.sum()} near boxes stand on it",
        ),
        Check("ground height", float(np.clip(1.4 - 2 * abs(median), 0, 1)), 0.5, words),
    ]  # fmt: skip


def _apart(
    moments: Sequence[Moment], readings: Sequence[BoxArrays | None], declaration: Declaration
) -> Check:
    """Boxes hold neither cameras nor the middles of other boxes."""
    free, total = 0, 0
    for moment, boxes in zip(moments, readings):
        if boxes is None or not len(boxes):
            continue
        cameras = base_T_cameras(moment.sample, declaration)[:, :3, 3]
        points = np.concatenate([boxes.centers, cameras])
        local = (points[None] - boxes.centers[:, None]) @ boxes.rotations
        inside = np.asarray((np.abs(local) < 0.45 * boxes.sizes[:, None]).all(axis=2))
        np.fill_diagonal(inside[:, : len(boxes)], False)
        ego = np.linalg.norm(boxes.centers[:, :2], axis=1) < 4.0  # its own box holds cameras
        bad = inside[:, : len(boxes)].any(axis=1) | (inside[:, len(boxes) :].any(axis=1) & ~ego)
        free += int((~bad).sum())
        total += len(boxes)
    words = f"{total - free} of {total} boxes hold a camera or another box's middle"
    return Check("boxes apart", free / max(total, 1), 0.7, words)


def _sizes(sizes: NDArray[np.float64], are_labelled: bool) -> list[Check]:
    """Of vehicles; without labels these may be anything, so sizes then only rank."""
    if len(sizes) < MIN_BOXES:
        return []
    ranges = np.array([_LENGTHS_M, _WIDTHS_M, _HEIGHTS_M])
    fits = ((sizes >= ranges[:, 0]) & (sizes <= ranges[:, 1])).all(axis=1)
    length, width, height = np.median(sizes, axis=0)
    text = f"median vehicle {length:.2f} x {width:.2f} x {height:.2f} m (length, width, height)"
    low, high = _MEDIAN_HEIGHTS_M
    usual = low <= height <= high and width <= 2.8 and length <= 9.0
    longer = float((sizes[:, 0] >= sizes[:, 1]).mean())
    needed = 0.5 if are_labelled else 0.0
    return [
        Check("vehicle sizes", float(fits.mean()) if usual else 0.2, needed, text),
        Check("longer than wide", longer, needed, f"{100 * longer:.0f} % of the vehicles"),
    ]


def _angle_range(moments: Sequence[Moment], declaration: Declaration) -> list[Check]:
    """Radians stay within two turns; degrees do not all."""
    stored = [
        each.sample.boxes.angles
        for each in moments
        if each.sample.boxes is not None and each.sample.boxes.angles is not None
    ]
    if not stored or not sum(map(len, stored)):
        return []
    angles = np.abs(np.concatenate(stored))
    largest = float(angles.max())
    if declaration.box_angles == "radians":
        fits = largest <= 2 * np.pi + 0.01
    else:
        fits = largest > 2 * np.pi or len(angles) < 5 or largest == 0.0
    return [Check("angles", float(fits), 1.0, f"the largest is {largest:.3g}")]


def _hulls(
    moment: Moment, boxes: BoxArrays, declaration: Declaration
) -> Iterator[tuple[int, int, NDArray[np.float64]]]:
    """(box, camera, outline (n, 2) in thumbnail pixels) of near boxes wholly before a camera."""
    near = np.flatnonzero(np.linalg.norm(boxes.centers[:, :2], axis=1) < 2 * NEAR_M)
    corners = boxes.corners[near]
    poses = base_T_cameras(moment.sample, declaration)
    height, width = moment.thumbnails.shape[1:3]
    for camera, (pose, matrix) in enumerate(zip(poses, moment.sample.intrinsics)):
        pixels = project(corners.reshape(-1, 3), pose, matrix, moment.scale).reshape(-1, 8, 2)
        middles = pixels.mean(axis=1)  # NaN where a corner is behind the camera
        with np.errstate(invalid="ignore"):
            inside = ((middles > 0) & (middles < (width, height))).all(axis=1)
        for number in np.flatnonzero(inside):
            hull = cv2.convexHull(pixels[number].astype(np.float32))[:, 0]
            yield int(near[number]), camera, hull.astype(np.float64)
