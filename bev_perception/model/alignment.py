# SPDX-License-Identifier: Apache-2.0
"""BEV features moved to where the vehicle is now."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bev_perception.geometry import BevGrid
from bev_perception.geometry.planar import PlanarPose


def aligned(features: Tensor, there_T_here: Sequence[PlanarPose], grid: BevGrid) -> Tensor:
    """Features over the grid at some places, resampled on the grid here, bilinearly.

    A cell here takes what lay at its place on the ground there; a cell that lies outside the
    grid there gets zero, and between the outermost centres and that a mixture. Align a plane of
    ones, too, to know how much of each cell was there.

    Sampled in float32 at any precision: coordinates in bfloat16 are off by whole cells.

    Args:
        features: (N, C, Y, X) in the grid's [row = y, column = x] order.
        there_T_here: N poses of the frame here in the frames of the features.
        grid: of features and result.

    Returns:
        (N, C, Y, X) of the features' type and memory format; channels-last is quicker on CPUs.
    """
    theta = torch.tensor(
        np.array([_normalised(pose, grid) for pose in there_T_here]), dtype=torch.float32
    ).to(features.device, non_blocking=True)
    with torch.autocast(features.device.type, enabled=False):
        places = functional.affine_grid(theta, list(features.shape), align_corners=False)
        sampled = functional.grid_sample(
            features.float(), places, mode="bilinear", padding_mode="zeros", align_corners=False
        )
    sampled = sampled.to(features.dtype)
    if features.is_contiguous(memory_format=torch.channels_last):
        return sampled.contiguous(memory_format=torch.channels_last)
    return sampled


def _normalised(pose: PlanarPose, grid: BevGrid) -> np.ndarray:
    """(2, 3) the motion between coordinates that are -1 and 1 at the grid's outer edges.

    With p = c + h n in metres, n' = (R (c + h n) + t - c) / h.
    """
    corner, extent = np.array([grid.x_min, grid.y_min]), np.array([grid.num_x, grid.num_y])
    half = extent * grid.resolution / 2.0
    middle = corner + half
    rotation, translation = pose.matrix[:, :2], pose.matrix[:, 2]
    shift = (rotation @ middle + translation - middle) / half
    return np.hstack([rotation * half / half[:, None], shift[:, None]])
