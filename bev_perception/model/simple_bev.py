# SPDX-License-Identifier: Apache-2.0
"""Imports checkpoints of the original Simple-BEV, so that they give the same answers here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bev_perception.errors import ConfigurationError, WeightsError
from bev_perception.geometry import BevGrid
from bev_perception.model.config import SegnetConfig
from bev_perception.model.segnet import Segnet
from bev_perception.model.simple_bev_file import read_simple_bev_file
from bev_perception.model.simple_bev_layout import read_layout
from bev_perception.model.simple_bev_names import LOSS_WEIGHTS
from bev_perception.model.simple_bev_tensors import segnet_with_tensors

VERTICAL_EXTENT_M = 10.0
CENTER_BELOW_CAMERA_M = 1.0


@dataclass(frozen=True)
class SimpleBevSetting:
    """What an original checkpoint does not say about itself; the defaults are the published ones.

    The original's voxels lie around its reference camera, along that camera's axes: forward is
    where it looks, tilted with it. Here the grid lies in levelled base_link, centred below
    camera_position. Where the reference camera is there, level and looking straight ahead,
    the voxels are the same ones.

    Attributes:
        image_size: (height, width) of the images in pixels.
        half_extent_m: the grid reaches so far forwards, backwards, left and right.
        resolution_m: metres per cell.
        camera_position: x, y, z of the reference camera in base_link, metres.
        num_heights: levels of the voxel grid, the Y of the original's Z, Y, X.
        sampling: "simple_bev" as the original samples, or "exact", which gives other answers.

    Raises:
        ConfigurationError: a value makes no grid.
    """

    image_size: tuple[int, int] = (448, 800)
    half_extent_m: float = 50.0
    resolution_m: float = 0.5
    camera_position: tuple[float, float, float] = (0.0, 0.0, 1.5)
    num_heights: int = 8
    sampling: str = "simple_bev"

    def __post_init__(self) -> None:
        if self.num_heights < 1:
            raise ConfigurationError(
                f"the number of heights must be positive, got {self.num_heights}"
            )
        if len(self.camera_position) != 3 or not np.isfinite(self.camera_position).all():
            raise ConfigurationError(
                f"the camera position needs x, y, z in finite metres, got {self.camera_position}"
            )

    @property
    def grid(self) -> BevGrid:
        """The original's cells in base_link.

        Raises:
            ConfigurationError: the extent is not a whole number of cells.
        """
        centered = BevGrid.centered(self.half_extent_m, self.resolution_m)
        x, y, _ = self.camera_position
        return BevGrid(
            centered.x_min + x,
            centered.y_min + y,
            self.resolution_m,
            centered.num_x,
            centered.num_y,
        )

    @property
    def heights_m(self) -> tuple[float, ...]:
        """z of the voxel centres in base_link, upwards: 10 m around 1 m below the camera."""
        spacing = VERTICAL_EXTENT_M / self.num_heights
        lowest = self.camera_position[2] - CENTER_BELOW_CAMERA_M - VERTICAL_EXTENT_M / 2.0
        return tuple(lowest + (level + 0.5) * spacing for level in range(self.num_heights))


def load_simple_bev(
    path: Path, setting: SimpleBevSetting | None = None
) -> tuple[Segnet, dict[str, Any]]:
    """A network from an original checkpoint, in evaluation mode, and metadata for its weights.

    Args:
        path: a file that the original's training saved.
        setting: image size, grid and heights; default the published ones.

    Raises:
        WeightsError: the file cannot be read, or its network cannot be imported.
        ConfigurationError: the setting makes no network.
    """
    path, setting = Path(path), setting or SimpleBevSetting()
    state = read_simple_bev_file(path)
    try:
        layout = read_layout(state, setting.num_heights)
        config = SegnetConfig(
            encoder=layout.encoder,
            image_size=setting.image_size,
            heights_m=setting.heights_m,
            grid=setting.grid,
            latent_dim=layout.latent_dim,
            decoder_widths=layout.decoder_widths,
            sampling=setting.sampling,
            mirrored_decoder=True,
            sensor=layout.sensor,
        )
        model = segnet_with_tensors(state, config)
    except WeightsError as error:
        raise WeightsError(f"checkpoint {path}: {error}") from error
    metadata = {
        "imported_from": "simple_bev",
        "file": path.name,
        "camera_position": list(setting.camera_position),
        "loss_weights": {name: float(state[name]) for name in LOSS_WEIGHTS if name in state},
    }
    return model, metadata
