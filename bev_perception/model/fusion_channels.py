# SPDX-License-Identifier: Apache-2.0
"""What all kinds of memory have: where a cell is and how the vehicle moves, as channels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from bev_perception.geometry import BevGrid
from bev_perception.model.config import SegnetConfig
from bev_perception.model.memory_config import MemoryConfig

FREQUENCIES = (1.0, 2.0)
"""Periods of the position encoding over half of the grid."""

POSITIONS = 4 * len(FREQUENCIES)
KINEMATICS = 3
"""Speed, yaw rate and time since something was remembered; see feature_memory.Kinematics."""


def position_encoding(grid: BevGrid) -> Tensor:
    """(1, POSITIONS, Y, X) sines and cosines of x and y of the cells, float32."""
    centers = grid.cell_centers
    half = max(abs(grid.x_min), abs(grid.x_max), abs(grid.y_min), abs(grid.y_max))
    angles = [np.pi * factor * centers / half for factor in FREQUENCIES]
    waves = np.concatenate([wave(angle) for angle in angles for wave in (np.sin, np.cos)], axis=-1)
    return torch.from_numpy(waves.astype(np.float32)).permute(2, 0, 1)[None].contiguous()


class Fusion(nn.Module):
    """Channels that both kinds of memory have beside the features.

    Channels that are constant over the plane pass a 1x1 convolution, which is a linear map.
    """

    positions: Tensor

    def __init__(self, config: SegnetConfig, channels: int, scalars: int) -> None:
        super().__init__()
        self.grid = config.grid
        self.config: MemoryConfig = config.memory
        self.register_buffer("positions", position_encoding(config.grid), persistent=False)
        self.place = nn.Conv2d(POSITIONS, channels, 1, bias=False)
        self.scalars = nn.Linear(scalars, channels)
        self.to_bev = nn.Conv2d(config.latent_dim, config.latent_dim, 1)
        nn.init.zeros_(self.to_bev.weight)
        assert self.to_bev.bias is not None
        nn.init.zeros_(self.to_bev.bias)

    def constant(self, rows: Sequence[np.ndarray], like: Tensor) -> Tensor:
        """Scalars (scalars,) of each sample as channels (B, channels, 1, 1)."""
        values = torch.from_numpy(np.stack(rows).astype(np.float32))
        values = values.to(like.device, self.scalars.weight.dtype)
        mapped: Tensor = self.scalars(values)[:, :, None, None]
        return mapped


def channels_last(plane: Tensor) -> Tensor:
    return plane.contiguous(memory_format=torch.channels_last)
