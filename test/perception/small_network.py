# SPDX-License-Identifier: Apache-2.0
"""A network that computes in milliseconds."""

from __future__ import annotations

from bev_perception.geometry import BevGrid
from bev_perception.model import SegnetConfig

CONFIG = SegnetConfig(
    encoder="light",
    image_size=(64, 96),
    heights_m=(0.0, 1.0),
    grid=BevGrid.centered(16.0, 0.5),
    latent_dim=8,
    decoder_widths=(8, 16, 16),
    light_widths=(8, 16, 16),
    feature_head=False,
)
