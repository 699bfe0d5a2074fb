# SPDX-License-Identifier: Apache-2.0
"""Where features are read: exactly, or displaced as the original Simple-BEV does.

The original turns image pixel u into feature position u / stride, normalises it by the n cells
less one, and samples as if it had been normalised by all n. So it reads at
``u / stride * n / (n - 1) - 1/2`` where exact sampling reads at ``(u + 1/2) / stride - 1/2``: the
same place at the left edge, and nearly a whole feature cell too far at the right one. Beyond
the feature map it reads zeros. Weights that learned with it need it; new models do not.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry import RigCamera
from bev_perception.model.config import SegnetConfig


def sampling_camera(entry: RigCamera, config: SegnetConfig) -> RigCamera:
    """The camera as whose images the features of this camera are read.

    For the sampling "exact" that is the camera itself. For "simple_bev" its pixels are those at
    which exact sampling reads what the original reads, and its image is half a feature cell
    wider on each side: as far as interpolation with zeros beyond the map gives anything.

    Args:
        entry: a prepared camera of the configuration's image size.
        config: sampling and feature shape.
    """
    if config.sampling == "exact":
        return entry
    rows, columns = config.feature_shape
    displacement = np.array(
        [[columns / (columns - 1), 0.0, -0.5], [0.0, rows / (rows - 1), -0.5], [0.0, 0.0, 1.0]]
    )
    camera = replace(entry.camera, matrix=displacement @ entry.camera.matrix)
    margin = config.feature_stride // 2
    height, width = config.image_size
    return replace(
        entry,
        camera=camera.cropped(-margin, -margin, width + 2 * margin, height + 2 * margin),
    )


def neighbours(
    pixels: NDArray[np.float64], size: int, config: SegnetConfig
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """The two feature cells between which pixels of a sampling_camera lie, along one axis.

    Args:
        pixels: (n,) columns or rows.
        size: feature cells along this axis.
        config: sampling and stride.

    Returns:
        The first cell (n,), so that it and the next one exist, and the shares (n,) of both.
    """
    last = max(size - 2, 0)
    position = (pixels + 0.5) / config.feature_stride - 0.5
    if config.sampling == "exact":
        np.clip(position, 0.0, size - 1.0, out=position)
        first = np.minimum(position.astype(np.int32), last)
        second_share = (position - first).astype(np.float32)
        return first, 1 - second_share, second_share
    position -= 0.5  # the margin of sampling_camera
    first = np.clip(np.floor(position).astype(np.int32), 0, last)
    distance = (position - first).astype(np.float32)
    return first, np.maximum(1 - abs(distance), 0), np.maximum(1 - abs(distance - 1), 0)
