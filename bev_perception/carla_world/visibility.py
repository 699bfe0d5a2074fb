# SPDX-License-Identifier: Apache-2.0
"""How much of each object the cameras see, from depth images.

The meaning is that of simulation.visibility: of the pixels that an object would cover in the
images if nothing stood before it, the share that shows it. CARLA draws no object alone, so its
box stands for it: a pixel whose ray meets the box is hidden when something is nearer than the
box, and open when the depth lies in the box or behind it (the ray passes through a corner that
the object does not fill). The open share of the box's pixels is then the visible share of the
object's, wherever what hides the box hides the object alike.

Depth was chosen over CARLA's instance segmentation, whose ids are Unreal's own before 0.9.16
and match no actor (carla issue 6636, pull request 8334), and over the semantic LiDAR, which sees
from another place than the cameras. Depth works in every release, and for parked cars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import ObjectBox, Rig, RigCamera

MARGIN_M = 0.15
"""A surface this close to an object's box is taken to be the object's."""

SAMPLES = 4096
"""Most pixels per object and camera; larger objects are looked at in a coarser raster."""

NEAR_M = 0.05


def visible_shares(
    rig: Rig, depths: Mapping[str, NDArray[np.float32]], objects: Sequence[ObjectBox]
) -> NDArray[np.float64]:
    """(len(objects),) visible share over all cameras together, 0 for what is in no image.

    Args:
        rig: cameras without distortion.
        depths: (height, width) metres along the optical axis, by camera.
        objects: boxes in base_link.
    """
    counts = np.zeros((len(objects), 3))
    for name, depth in depths.items():
        for index, box in enumerate(objects):
            counts[index] += _count(rig[name], depth, box)
    own, through, hidden = counts.T
    whole = np.maximum(own + through + hidden, 1e-9)
    return np.where(own > 0.0, (own + through) / whole, 0.0)


def _count(
    mounted: RigCamera, depth: NDArray[np.float32], box: ObjectBox
) -> tuple[float, float, float]:
    """Pixels of the box that show it, show what is behind it, and show what hides it."""
    cell = _pixel_rectangle(mounted, box)
    if cell is None:
        return 0.0, 0.0, 0.0
    left, top, right, bottom = cell
    step = max(1, int(np.ceil(np.sqrt((right - left) * (bottom - top) / SAMPLES))))
    rows, columns = np.mgrid[top:bottom:step, left:right:step]
    rays = mounted.camera.unproject(np.stack([columns, rows], axis=-1))
    enter, leave = _ray_interval(mounted, rays, box)
    meets = (leave > np.maximum(enter, 0.0)) & (leave > NEAR_M)
    seen = depth[top:bottom:step, left:right:step]
    is_hidden = meets & (seen < enter - MARGIN_M)
    is_through = meets & (seen > leave + MARGIN_M)
    is_own = meets & ~is_hidden & ~is_through
    weight = float(step * step)
    return weight * is_own.sum(), weight * is_through.sum(), weight * is_hidden.sum()


def _ray_interval(
    mounted: RigCamera, rays: NDArray[np.float64], box: ObjectBox
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Depths (...) at which rays (..., 3) with z = 1 enter and leave a box; enter > leave: miss."""
    box_T_camera = box.pose.inverse() @ mounted.base_T_camera
    origin, direction = box_T_camera.translation, box_T_camera.rotate(rays)
    direction = np.where(np.abs(direction) < 1e-12, 1e-12, direction)
    first = (-box.size / 2.0 - origin) / direction
    second = (box.size / 2.0 - origin) / direction
    return np.minimum(first, second).max(axis=-1), np.maximum(first, second).min(axis=-1)


def _pixel_rectangle(mounted: RigCamera, box: ObjectBox) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom (exclusive) of the pixels that a box may cover; None for none."""
    width, height = mounted.camera.width, mounted.camera.height
    corners = mounted.base_T_camera.inverse().apply(box.corners)
    ahead = corners[:, 2] > NEAR_M
    if not ahead.any():
        return None
    if not ahead.all():
        return 0, 0, width, height
    pixels, _ = mounted.camera.project(corners)
    low = np.floor(pixels.min(axis=0)).astype(int).clip(0)
    high = (np.ceil(pixels.max(axis=0)).astype(int) + 1).clip(max=(width, height))
    if (high <= low).any():
        return None
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
