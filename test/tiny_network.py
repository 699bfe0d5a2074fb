# SPDX-License-Identifier: Apache-2.0
"""A network that has learned nothing, for all that needs one and does not care what it sees."""

from __future__ import annotations

from pathlib import Path

import torch

from bev_perception.geometry import BevGrid
from bev_perception.model import Segnet, SegnetConfig, save_weights

CONFIG = SegnetConfig(
    encoder="light",
    image_size=(64, 96),
    heights_m=(0.0, 1.0),
    grid=BevGrid.centered(16.0, 1.0),
    latent_dim=8,
    decoder_widths=(8, 8, 8),
    light_widths=(8, 8, 8),
    feature_head=False,
)


def save_tiny_network(path: Path) -> Path:
    """Writes weights, always the same ones; returns the path."""
    torch.manual_seed(0)
    save_weights(path, Segnet(CONFIG), {"recipe": "none"})
    return path
