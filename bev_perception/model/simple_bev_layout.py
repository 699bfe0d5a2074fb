# SPDX-License-Identifier: Apache-2.0
"""Which of the original's networks a state dict holds, as far as its shapes tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from bev_perception.errors import WeightsError
from bev_perception.model.config import RADAR_FEATURES
from bev_perception.model.simple_bev_names import (
    COMPRESSOR,
    DECODER_WIDTHS,
    DEPTH,
    EFFICIENTNET,
    layer3_depth,
)

_ENCODERS = {23: "resnet101", 6: "resnet50"}


@dataclass(frozen=True)
class SimpleBevLayout:
    """Everything about an original network that its tensors tell.

    Attributes:
        encoder: "resnet101" or "resnet50".
        latent_dim: channels of the features.
        decoder_widths: channels of the decoder at strides 2, 4 and 8.
        num_heights: levels of its voxel grid.
        sensor: one of config.SENSORS.
    """

    encoder: str
    latent_dim: int
    decoder_widths: tuple[int, int, int]
    num_heights: int
    sensor: str


def read_layout(state: Mapping[str, Tensor], num_heights: int) -> SimpleBevLayout:
    """The network that a state dict belongs to.

    The first convolution of the BEV plane tells the sensors, given the number of heights: beside
    latent_dim channels per height it takes none (cameras alone), 1 (radar), 16 per
    height (radar with features) or 1 per height (LiDAR).

    Args:
        state: tensors by original names.
        num_heights: levels of the voxel grid; the published networks have 8.

    Raises:
        WeightsError: it is none of the networks that can be imported.
    """
    if EFFICIENTNET in state:
        raise WeightsError("its encoder is an EfficientNet; ResNet-101 and ResNet-50 can be read")
    missing = [name for name in (DEPTH, *DECODER_WIDTHS) if name not in state]
    if missing:
        some = ", ".join(list(state)[:3])
        raise WeightsError(
            f"no network of Simple-BEV: it lacks {', '.join(missing)}, and begins with {some}"
        )
    if COMPRESSOR not in state:
        raise WeightsError(
            f"it lacks {COMPRESSOR}: a network that adds its heights up (do_rgbcompress=False) "
            f"cannot be read"
        )
    depth = layer3_depth(state)
    if depth not in _ENCODERS:
        raise WeightsError(
            f"its encoder cannot be told: layer3 has {depth} blocks, a ResNet-101 23 and a "
            f"ResNet-50 6"
        )
    latent_dim = _size(state, DEPTH, 0)
    first, second, third = (_size(state, name, 0) for name in DECODER_WIDTHS)
    sensor = _sensor(_size(state, COMPRESSOR, 1), latent_dim, num_heights)
    return SimpleBevLayout(
        _ENCODERS[depth], latent_dim, (first, second, third), num_heights, sensor
    )


def _sensor(channels: int, latent_dim: int, num_heights: int) -> str:
    choices = {
        0: "none",
        num_heights: "lidar",
        RADAR_FEATURES * num_heights: "radar_features",
        1: "radar",
    }
    extra = channels - latent_dim * num_heights
    if extra not in choices:
        known = ", ".join(
            f"{latent_dim * num_heights + more} ({'cameras alone' if name == 'none' else name})"
            for more, name in sorted(choices.items())
        )
        raise WeightsError(
            f"its variant cannot be told: {COMPRESSOR} takes {channels} channels, and with "
            f"{num_heights} heights of {latent_dim} channels it would take {known}; give the "
            f"number of heights that it was trained with, Y of the original's Z, Y, X"
        )
    return choices[extra]


def _size(state: Mapping[str, Tensor], name: str, axis: int) -> int:
    shape = tuple(state[name].shape)
    if len(shape) != 4 or 0 in shape:
        raise WeightsError(f"{name} has shape {shape}, expected that of a convolution")
    return shape[axis]
