# SPDX-License-Identifier: Apache-2.0
"""The image that another camera would take from the same place.

A camera that is turned about its optical centre, or has another focal length there, sees nothing
new, so its image can be made exactly from the old one, whatever the scene. Only beyond the edges
of the old image there is nothing to show: that becomes black.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import PinholeCamera, RigidTransform

KEPT_MAPS = 64
"""Sampling maps of distorted lenses that are kept, about 1 MB each for small images."""


def render_view(
    image: NDArray[np.uint8],
    old: PinholeCamera,
    new: PinholeCamera,
    old_T_new: RigidTransform,
    out: NDArray[np.uint8],
) -> None:
    """Samples the new camera's image, bilinearly.

    Args:
        image: (H, W, 3) of the old camera.
        old, new: intrinsics; both of the same kind of lens.
        old_T_new: turn from the new optical frame to the old one; its translation must be zero.
        out: (H, W, 3) of the new camera, written.
    """
    homography = _homography(old, new, old_T_new)
    if homography is None:
        map_u, map_v = _sampling_map(old, new, old_T_new)
        cv2.remap(image, map_u, map_v, cv2.INTER_LINEAR, dst=out)
        return
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cv2.warpPerspective(image, homography, (new.width, new.height), dst=out, flags=flags)


def _homography(
    old: PinholeCamera, new: PinholeCamera, old_T_new: RigidTransform
) -> NDArray[np.float64] | None:
    """New pixels to old ones where that is one matrix: no lens, or a lens and no turn.

    None as well where part of the new image looks behind the old camera.
    """
    turned = not np.allclose(old_T_new.rotation, np.eye(3), rtol=0.0, atol=1e-12)
    if old.is_distorted and turned:
        return None
    matrix: NDArray[np.float64] = old.matrix @ old_T_new.rotation @ np.linalg.inv(new.matrix)
    right, bottom = new.width - 1.0, new.height - 1.0
    corners = np.array([[0, 0, 1], [right, 0, 1], [0, bottom, 1], [right, bottom, 1]])
    return matrix if ((corners @ matrix.T)[:, 2] > 0.01).all() else None


@lru_cache(maxsize=KEPT_MAPS)
def _sampling_map(
    old: PinholeCamera, new: PinholeCamera, old_T_new: RigidTransform
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where each pixel of the new image lies in the old one, for cv2.remap."""
    columns, rows = np.meshgrid(np.arange(new.width), np.arange(new.height))
    rays = new.unproject(np.stack([columns, rows], axis=-1))
    pixels, valid = old.project(old_T_new.rotate(rays))
    pixels[~valid] = -1e4
    return pixels[..., 0].astype(np.float32), pixels[..., 1].astype(np.float32)
