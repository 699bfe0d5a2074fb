# SPDX-License-Identifier: Apache-2.0
"""Teaches the lift "depth" its depths from LiDAR points, of a vehicle or of the embedded town.

Points are kept with a prepared bag in base_link and projected into the cameras as augmentation left
them, so every view has the depths that belong to it. The term is the cross entropy of the depth's
bin, as in Reading et al., "CaDDN", 2021, over the feature cells in which a point lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bev_perception.geometry import Rig
from bev_perception.model import LiftSettings, Segnet, SegnetConfig
from bev_perception.model.depth_lift import DepthLift
from bev_perception.training.losses import masked_mean


def depth_targets(
    points: NDArray[np.floating], rig: Rig, present: Sequence[bool], config: SegnetConfig
) -> NDArray[np.float32]:
    """Depth of the nearest point in every feature cell.

    Args:
        points: (N, 3) metres in levelled base_link.
        rig: prepared and levelled.
        present: per camera whether its image came.
        config: image size.

    Returns:
        (S, rows, columns) metres along the optical axis; infinite where no point lies.
    """
    targets = np.full((len(rig), *config.feature_shape), np.inf, dtype=np.float32)
    for position, entry in enumerate(rig.cameras.values()):
        if not present[position]:
            continue
        optical = entry.base_T_camera.inverse().apply(np.asarray(points, dtype=np.float64))
        pixels, valid = entry.camera.project(optical)
        seen = np.flatnonzero(valid & entry.camera.contains(pixels))
        cells = np.floor((pixels[seen] + 0.5) / config.feature_stride).astype(np.intp)
        rows, columns = config.feature_shape
        places = np.minimum(cells[:, 1], rows - 1), np.minimum(cells[:, 0], columns - 1)
        np.minimum.at(targets[position], places, optical[seen, 2].astype(np.float32))
    return targets


def depth_loss(logits: Tensor, depth: Tensor, settings: LiftSettings) -> Tensor:
    """Mean cross entropy of the depth's bin over each sample's cells, averaged over the samples.

    Scalar. As in losses.masked_mean, a sample of which no depth is known counts 0.

    Args:
        logits: (B * S, bins, rows, columns).
        depth: (B, S, rows, columns) metres; cells beyond the bins, infinity included, do not
            count.
        settings: of the bins.
    """
    nearest, farthest = settings.depth_m
    known = (depth >= nearest) & (depth < farthest)
    bins = ((depth.masked_fill(~known, nearest) - nearest) / settings.depth_step_m).long()
    bins = bins.clamp(max=settings.depth_bins - 1).masked_fill(~known, -1)
    surprise = functional.cross_entropy(
        logits.float(), bins.flatten(0, 1), ignore_index=-1, reduction="none"
    )
    return masked_mean(surprise.view_as(depth), known)


class DepthSupervision:
    """Listens to a network's depth head, so that its answer need not be computed twice.

    Args:
        model: with the lift "depth".
    """

    def __init__(self, model: Segnet) -> None:
        self._settings = model.config.lift_settings
        self._logits: Tensor | None = None
        cast(DepthLift, model.lifting).depth_head.register_forward_hook(self._listen)

    def _listen(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        self._logits = output

    def loss(self, depth: Tensor) -> Tensor:
        """See depth_loss; of the network's last run, which is then forgotten.

        Args:
            depth: (B, S, rows, columns) metres.
        """
        logits, self._logits = self._logits, None
        assert logits is not None
        return depth_loss(logits, depth, self._settings)


def depth_batch(depths: Sequence[NDArray[np.float32] | None]) -> Tensor | None:
    """(B, S, rows, columns), or None where an example has none."""
    known = [depth for depth in depths if depth is not None]
    return torch.from_numpy(np.stack(known)) if len(known) == len(depths) else None
