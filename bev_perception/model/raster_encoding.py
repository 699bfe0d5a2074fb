# SPDX-License-Identifier: Apache-2.0
"""Where a BEV cell is, as a network likes to be told: sines and cosines of its coordinates.

The sinusoidal encoding of Vaswani et al., "Attention Is All You Need", 2017, in two dimensions and
with frequencies that double, as Mildenhall et al., "NeRF", 2020, have them.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bev_perception.geometry import BevGrid


def raster_encoding(grid: BevGrid, bands: int) -> Tensor:
    """(Y * X, 4 * bands) float32 in -1..1.

    Of the coordinates x and y of a cell's centre, each -1 and 1 at the grid's edges:
    sin(2^k pi x), cos(2^k pi x), the same of y, for k from 0 to bands - 1.
    """
    num_y, num_x = grid.shape
    columns, rows = np.meshgrid(
        (np.arange(num_x) + 0.5) / num_x * 2.0 - 1.0, (np.arange(num_y) + 0.5) / num_y * 2.0 - 1.0
    )
    places = np.stack([columns.ravel(), rows.ravel()], axis=1)
    angles = places[:, :, None] * (np.pi * 2.0 ** np.arange(bands))
    waves = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    return torch.from_numpy(waves.reshape(num_y * num_x, -1).astype(np.float32))
