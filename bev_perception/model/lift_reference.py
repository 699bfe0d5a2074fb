# SPDX-License-Identifier: Apache-2.0
"""The lift as one would explain it, slow and without tables: the oracle of lift.py."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bev_perception.geometry import Rig
from bev_perception.model.config import SegnetConfig


def reference_lift(
    features: Tensor, rig: Rig, config: SegnetConfig, present: Sequence[bool] | None = None
) -> Tensor:
    """Samples every camera at every voxel and averages over the cameras that see it.

    Args:
        features: (S, C, h, w) floating, one map per camera of the rig.
        rig: prepared and levelled, as for build_tap_table.
        config: image size, grid and heights.
        present: per camera, whether its image came; default all.

    Returns:
        (Z * C, Y, X), channel z * C + c; 0 where no camera sees.
    """
    height, width = config.image_size
    num_y, num_x = config.grid.shape
    flags = [True] * len(rig) if present is None else list(present)
    levels = []
    for z in config.heights_m:
        centers = config.grid.cell_centers  # (Y, X, 2)
        points = np.concatenate([centers, np.full((num_y, num_x, 1), z)], axis=-1)
        total = features.new_zeros(features.shape[1], num_y, num_x)
        count = features.new_zeros(num_y, num_x)
        for position, name in enumerate(rig.names):
            if not flags[position]:
                continue
            pixels, in_front = rig[name].project(points)
            u, v = pixels[..., 0], pixels[..., 1]
            with np.errstate(invalid="ignore"):
                inside = (u >= -0.5) & (u <= width - 0.5) & (v >= -0.5) & (v <= height - 0.5)
            seen = torch.from_numpy(in_front & inside)
            # grid_sample's -1 and 1 are the image's outer edges, pixels -0.5 and size - 0.5.
            edges = np.stack([(2 * u + 1) / width - 1, (2 * v + 1) / height - 1], axis=-1)
            normalised = torch.from_numpy(np.nan_to_num(edges, nan=-2.0)).to(features)
            sampled = functional.grid_sample(
                features[position : position + 1],
                normalised[None],
                mode="bilinear",
                padding_mode="border",
                align_corners=False,
            )[0]
            total += torch.where(seen, sampled, torch.zeros_like(sampled))
            count += seen
        levels.append(total / count.clamp(min=1))
    return torch.cat(levels)
