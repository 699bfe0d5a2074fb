# SPDX-License-Identifier: Apache-2.0
"""Named model configurations."""

from __future__ import annotations

from dataclasses import replace

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import BevGrid
from bev_perception.model.config import SegnetConfig

PUBLISHED_HEIGHTS_M = tuple(-3.75 + 1.25 * level for level in range(8))
"""Eight centres 1.25 m apart. The published ones span 10 m around a point 1 m below the
reference camera; for a camera about 1.6 m up that is this, one of them on the ground."""


def tiny_config() -> SegnetConfig:
    """The model that ships: about 2 million parameters, for two CPU cores."""
    return SegnetConfig(
        encoder="light",
        image_size=(320, 480),
        heights_m=(0.0, 0.75, 1.5),
        grid=BevGrid.centered(50.0, 0.5),
        latent_dim=32,
        decoder_widths=(48, 96, 160),
        light_widths=(32, 64, 128),
        feature_head=False,
    )


def small_config() -> SegnetConfig:
    """Tiny on whole images of the default rig, with finer features: ships, too."""
    return replace(tiny_config(), image_size=(448, 672), feature_stride=4)


def small_fine_config() -> SegnetConfig:
    """The same on 400x400 cells, four to each of the decoder."""
    return replace(small_config(), grid=BevGrid.centered(50.0, 0.25), decoder_stride=2)


def base_config() -> SegnetConfig:
    """Small_fine with ResNet-18, its encoder twice as wide: 4.8 million parameters."""
    return replace(small_fine_config(), encoder="resnet18")


def base_half_config() -> SegnetConfig:
    """Base on half the image size and the decoder's cells alone, for a training from nothing."""
    grid = BevGrid.centered(50.0, 0.5)
    return replace(base_config(), image_size=(224, 336), grid=grid, decoder_stride=1)


def seed_config() -> SegnetConfig:
    """The seed's setting: four cameras of 448x672, 400x400 cells."""
    return SegnetConfig(
        encoder="resnet101",
        image_size=(448, 672),
        heights_m=PUBLISHED_HEIGHTS_M,
        grid=BevGrid.centered(50.0, 0.25),
    )


def nuscenes_config() -> SegnetConfig:
    """The published nuScenes setting: six cameras of 448x800, 200x200 cells of 0.5 m."""
    return SegnetConfig(
        encoder="resnet101",
        image_size=(448, 800),
        heights_m=PUBLISHED_HEIGHTS_M,
        grid=BevGrid.centered(50.0, 0.5),
    )


PRESETS = {
    "tiny": tiny_config,
    "small": small_config,
    "small_fine": small_fine_config,
    "base": base_config,
    "base_half": base_half_config,
    "seed": seed_config,
    "nuscenes": nuscenes_config,
}


def preset(name: str) -> SegnetConfig:
    """A configuration by name.

    Raises:
        ConfigurationError: there is no such preset.
    """
    if name not in PRESETS:
        raise ConfigurationError(
            f"unknown model preset {name!r}, expected one of {', '.join(PRESETS)}"
        )
    return PRESETS[name]()
