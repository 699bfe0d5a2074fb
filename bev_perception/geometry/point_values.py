# SPDX-License-Identifier: Apache-2.0
"""Point clouds as arrays: x, y, z in the first columns, what a sensor says of a return behind."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.transform import RigidTransform

RADAR_VALUES = (
    "dyn_prop", "id", "rcs", "vx", "vy", "vx_comp", "vy_comp", "is_quality_valid", "ambig_state",
    "x_rms", "y_rms", "invalid_state", "pdh0", "vx_rms", "vy_rms", "time",
)  # fmt: skip
"""What a network with radar features gets of a return: the fields of nuScenes' radar points behind
x, y, z in their order, and the seconds since the return. As the radar tells them: velocities are
metres per second in the radar's own frame, as in Simple-BEV's use_metaradar."""

POINT_VALUES: dict[str, tuple[str, ...]] = {
    "none": (),
    "lidar": (),
    "radar": (),
    "radar_features": RADAR_VALUES,
}
"""Columns behind x, y, z by what a network takes beside images."""

_TO_THE_SIDE = [3 + RADAR_VALUES.index(name) for name in ("vy", "vy_comp")]


def moved_points(
    target_T_source: RigidTransform, points: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Points (N, 3 or more) in another frame; what is behind x, y, z stays as it is."""
    places = target_T_source.apply(points[:, :3])
    return np.concatenate([places, points[:, 3:]], axis=1) if points.shape[1] > 3 else places


def mirrored_points(points: NDArray[np.floating]) -> NDArray[np.floating]:
    """Points (N, 3) or with RADAR_VALUES, left and right exchanged, speeds to the side too."""
    signs = np.ones(points.shape[1])
    signs[1] = -1.0
    if points.shape[1] > 3:
        signs[_TO_THE_SIDE] = -1.0
    return points * signs
