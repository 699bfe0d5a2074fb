# SPDX-License-Identifier: Apache-2.0
"""The small interface behind which every inference engine stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import EngineError
from bev_perception.model import SegnetConfig, TapTable


@dataclass(frozen=True)
class RawOutput:
    """What a network says about one moment, before objects are found in it.

    Attributes:
        probability: (Y, X) float32 in 0..1, vehicle occupancy.
        center: (Y, X) float32 in 0..1, centre map.
        offset: (2, Y, X) float32 metres, x then y, from the cell to its object's centre.
    """

    probability: NDArray[np.float32]
    center: NDArray[np.float32]
    offset: NDArray[np.float32]


class Engine(Protocol):
    """Runs a network on prepared images."""

    @property
    def config(self) -> SegnetConfig:
        """What the network was built for."""

    def infer(self, images: NDArray[np.uint8], taps: TapTable) -> RawOutput:
        """One moment.

        Args:
            images: (S, H, W, 3) uint8 RGB in rig order; missing cameras hold anything, the
                table leaves them out.
            taps: of one rig with S cameras.

        Raises:
            EngineError: images or taps do not fit the network.
        """


def check_inputs(config: SegnetConfig, images: NDArray[np.uint8], taps: TapTable) -> None:
    """Refuses what a network of this configuration cannot take.

    Raises:
        EngineError: with the value seen and the one expected.
    """
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        seen = getattr(images, "dtype", type(images).__name__)
        raise EngineError(f"images must be a uint8 array (S, H, W, 3), got {seen}")
    height, width = config.image_size
    if images.ndim != 4 or images.shape[1:] != (height, width, 3):
        raise EngineError(
            f"images must have shape (S, {height}, {width}, 3) for this model, got {images.shape}"
        )
    if taps.batch_size != 1 or taps.num_cameras != len(images):
        raise EngineError(
            f"{len(images)} images, but the tap table is for {taps.num_cameras} cameras "
            f"of {taps.batch_size} rigs; one image per camera of one rig is needed, black where "
            f"a camera is missing"
        )
    voxels = (*config.grid.shape, len(config.heights_m))
    if taps.feature_shape != config.feature_shape or taps.voxel_shape != voxels:
        raise EngineError(
            f"the tap table is for features of {taps.feature_shape} and voxels of "
            f"{taps.voxel_shape} (Y, X, Z), this model has {config.feature_shape} and {voxels}; "
            f"build it with this model's configuration"
        )
