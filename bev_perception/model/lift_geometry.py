# SPDX-License-Identifier: Apache-2.0
"""What every lift needs of the cameras, behind one interface.

Geometry is built in float64 by NumPy and does not depend on images or weights, so a calibration
is worked out once and kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from bev_perception.errors import ConfigurationError
from bev_perception.geometry import Rig
from bev_perception.geometry.rig_record import rig_hash
from bev_perception.model.camera_planes import build_camera_planes
from bev_perception.model.config import SegnetConfig
from bev_perception.model.frustum_table import FrustumTable, build_frustum_table
from bev_perception.model.sighting_table import SightingTable, build_sighting_table
from bev_perception.model.tap_builder import build_tap_table
from bev_perception.model.taps import TapTable


class LiftGeometry(Protocol):
    """The lift of one rig, or of a batch of rigs."""

    @property
    def batch_size(self) -> int:
        """Rigs."""

    @property
    def num_cameras(self) -> int:
        """Cameras per rig, missing ones included."""

    @property
    def feature_shape(self) -> tuple[int, int]:
        """(rows, columns) of one camera's feature map."""

    @property
    def voxel_shape(self) -> tuple[int, int, int]:
        """(Y, X, Z) of what the geometry knows."""

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(Y, X) of one rig, (B, Y, X) of a batch: whether a present camera sees a voxel of the
        column."""

    @property
    def rig_id(self) -> str:
        """rig_hash of the prepared rig that it was built for, "" where it does not say."""

    @property
    def num_bytes(self) -> int:
        """Memory that it takes."""

    def to(self, device: torch.device | str, non_blocking: bool = False) -> LiftGeometry:
        """The geometry on another device."""


_GEOMETRIES: dict[str, Any] = {
    "bilinear": TapTable,
    "ground": TapTable,
    "ground_late": TapTable,
    "depth": FrustumTable,
    "attention": SightingTable,
}


def build_lift_geometry(
    rig: Rig,
    config: SegnetConfig,
    present: Sequence[bool] | None = None,
    backward: bool = False,
    rig_id: str | None = None,
) -> LiftGeometry:
    """What the configured lift needs of one rig; see build_tap_table for the other arguments.

    Args:
        rig_id: rig_hash of the rig whose images the geometry is for: that of a vehicle that
            stands level, where this one leans. Default that of this rig, "" for none.

    Raises:
        ConfigurationError: see build_tap_table.
    """
    built: TapTable | FrustumTable | SightingTable
    if config.lift == "depth":
        built = build_frustum_table(rig, config, present)
    elif config.lift == "attention":
        built = build_sighting_table(rig, config, present)
    elif config.lift == "ground_late":
        built = build_camera_planes(rig, config, present, backward)
    else:
        built = build_tap_table(rig, config, present, backward)
    return replace(built, rig_id=rig_hash(rig) if rig_id is None else rig_id)


def batched(geometries: Sequence[LiftGeometry]) -> LiftGeometry:
    """One geometry for a batch of single rigs of the same lift.

    Raises:
        ConfigurationError: they are of other lifts, or differ in cameras, features or voxels.
    """
    kinds = {type(geometry) for geometry in geometries}
    if len(kinds) > 1:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ConfigurationError(f"the geometries of one batch are of different lifts: {names}")
    result: LiftGeometry = kinds.pop().batch(geometries)  # type: ignore[attr-defined]
    return result


def geometry_problem(geometry: LiftGeometry, config: SegnetConfig) -> str:
    """Why a geometry is not for a network of this configuration; "" where it is."""
    kind = _GEOMETRIES[config.lift]
    if not isinstance(geometry, kind):
        return (
            f"a {type(geometry).__name__} is for another lift, this model has lift {config.lift} "
            f"and takes a {kind.__name__}"
        )
    num_y, num_x = config.grid.shape
    voxels = (num_y, num_x, len(config.heights_m))
    if config.lift == "ground_late":
        voxels = (geometry.num_cameras * num_y, num_x, 1)
    if geometry.feature_shape != config.feature_shape or geometry.voxel_shape != voxels:
        return (
            f"the tap table is for features of {geometry.feature_shape} and voxels of "
            f"{geometry.voxel_shape} (Y, X, Z), this model has {config.feature_shape} and {voxels}"
        )
    return ""
