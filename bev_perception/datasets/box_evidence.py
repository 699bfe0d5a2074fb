# SPDX-License-Identifier: Apache-2.0
"""Do labelled boxes lie where cameras could see them, and stand where and as big as they must?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bev_perception.geometry import Rig
from bev_perception.geometry.box_arrays import BoxArrays

REACH_M = 60.0
"""Boxes farther away are not asked for: they are a few pixels high."""

MIN_BOXES = 3
"""Fewer boxes say nothing about a set."""

MIN_SHARE = 0.5
"""Of the boxes that are said to be visible, at least so many must be in an image."""

_MIN_EXTENT_PX = 2.0
_NEAR_M = 30.0
_MIN_HEIGHTS = 20
_GROUND_TOLERANCE_M = 0.6

_SAMPLES = 0.5 * np.array(
    [
        [x, y, z]
        for x in (-1, 0, 1)
        for y in (-1, 0, 1)
        for z in (-1, 0, 1)
        if abs(x) + abs(y) + abs(z) != 2
    ],
    dtype=np.float64,
)
"""Points of a box in units of its size: corners, middles of faces, and its middle."""


def impossible_value(boxes: BoxArrays) -> str:
    """What no object can have, in words; empty where all is well. Unknown values are possible."""
    shares = boxes.visibilities
    with np.errstate(invalid="ignore"):
        odd = (shares < 0.0) | (shares > 1.0)
    endless = np.isinf(boxes.velocities).any(axis=1)
    if not (odd | endless).any():
        return ""
    index = int(np.argmax(odd | endless))
    what = (
        f"visibility {shares[index]:g}, expected 0 to 1 or none"
        if odd[index]
        else f"velocity {boxes.velocities[index].tolist()}, expected numbers or none"
    )
    return f"object {boxes.object_ids[index]} ({boxes.labels[index]}) has {what}"


def boxes_in_view(boxes: BoxArrays, rig: Rig, min_visibility: float) -> tuple[int, int]:
    """(asked, seen): near boxes said to be visible, and those that are in some image.

    Boxes of unknown visibility are not asked for.

    Args:
        boxes: in the rig's base frame.
        rig: the cameras.
        min_visibility: boxes count as visible above this share.
    """
    with np.errstate(invalid="ignore"):
        chosen = (boxes.visibilities > min_visibility) & (boxes.distances < REACH_M)
    asked = boxes.selected(chosen)
    if not len(asked):
        return 0, 0
    points = asked.points(_SAMPLES)
    radii = 0.5 * np.linalg.norm(asked.sizes, axis=1)
    seen = np.zeros(len(asked), dtype=bool)
    for entry in rig.cameras.values():
        depths = entry.camera_T_base.apply(asked.centers)[:, 2]
        left = np.flatnonzero(~seen & (depths > -radii))  # no other has a point before the camera
        pixels, valid = entry.project(points[left])
        inside = (valid & entry.camera.contains(pixels)).any(axis=1)
        left, pixels, valid = left[inside], pixels[inside], valid[inside]
        low = np.where(valid[..., None], pixels, np.inf).min(axis=1)
        high = np.where(valid[..., None], pixels, -np.inf).max(axis=1)
        seen[left] = (high - low).max(axis=1) >= _MIN_EXTENT_PX
    return len(asked), int(seen.sum())


def vehicle_bottoms(boxes: BoxArrays) -> list[float]:
    """Heights of the bottoms of near vehicles over the plane that the vehicle stands on, metres."""
    near = boxes.is_vehicle & (boxes.distances < _NEAR_M)
    bottoms = boxes.centers[:, 2] - 0.5 * boxes.sizes[:, 2] * np.abs(boxes.rotations[:, 2, 2])
    return list(bottoms[near].tolist())


def ground_note(bottoms: Sequence[float]) -> str:
    """What to say when vehicles do not stand on the ground; empty when they do."""
    median = float(np.median(bottoms)) if len(bottoms) >= _MIN_HEIGHTS else 0.0
    if abs(median) < _GROUND_TOLERANCE_M:
        return ""
    return (
        f"the bottoms of labelled vehicles within {_NEAR_M:g} m are {median:+.2f} m high in the "
        f"median: is base_link on the ground, and is a label's position the middle of its box?"
    )
