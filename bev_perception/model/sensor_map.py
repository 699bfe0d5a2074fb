# SPDX-License-Identifier: Apache-2.0
"""Radar returns or LiDAR points as the map that some networks take beside images.

Every point marks the voxel that it lies in. "lidar" takes one channel per height, "radar" one
channel for all heights together, and "radar_features" 16 values per height.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.errors import ConfigurationError
from bev_perception.geometry.point_values import POINT_VALUES
from bev_perception.model.config import RADAR_FEATURES, SegnetConfig


def sensor_map(
    points: NDArray[np.floating],
    config: SegnetConfig,
    features: NDArray[np.floating] | None = None,
) -> Tensor:
    """The map of one moment.

    Args:
        points: (n, 3) metres in levelled base_link; those outside the voxels are left out.
        config: says which sensor the network takes, and where its voxels are.
        features: (n, 16) for "radar_features": geometry.point_values.RADAR_VALUES. Where returns
            share a voxel, the last one stays.

    Returns:
        (1, config.sensor_channels, Y, X) float32, channel height * values + value.

    Raises:
        ConfigurationError: the network takes no sensor, its heights are not evenly spaced, or
            points and features have other shapes.
    """
    if not config.sensor_channels:
        raise ConfigurationError("this network takes images alone, so there is no sensor map")
    places, inside = _voxels(_checked(points, "points", 3), config)
    num_z, num_values = len(config.heights_m), 1
    values = np.ones((len(places), 1), dtype=np.float32)
    if config.sensor == "radar_features":
        given = np.zeros((0, 0)) if features is None else features
        num_values = RADAR_FEATURES
        values = _checked(given, "features", num_values).astype(np.float32)
        if len(values) != len(places):
            raise ConfigurationError(f"{len(places)} points, but features of {len(values)}")
    volume = np.zeros((num_z, num_values, *config.grid.shape), dtype=np.float32)
    z, row, column = places[inside].T
    volume[z, :, row, column] = values[inside]
    if config.sensor == "radar":
        volume = volume.max(axis=0, keepdims=True)
    return torch.from_numpy(volume).flatten(0, 1)[None]


def cloud_map(points: NDArray[np.floating] | None, config: SegnetConfig) -> Tensor:
    """The map of a point cloud as live topics, bags and prepared bags hold it.

    Args:
        points: (n, 3) metres in levelled base_link, with RADAR_VALUES behind for
            "radar_features"; None where the cloud is missing, which gives the map of a cloud
            without points.
        config: of a network with a sensor.

    Returns:
        (1, config.sensor_channels, Y, X) float32, of 0 and 1 but for "radar_features".

    Raises:
        ConfigurationError: see check_point_sensor and sensor_map.
    """
    check_point_sensor(config)
    if points is None:
        points = np.zeros((0, 3 + len(POINT_VALUES[config.sensor])))
    return sensor_map(points[:, :3], config, points[:, 3:])


def check_point_sensor(config: SegnetConfig) -> None:
    """Refuses networks whose voxels make no map of points.

    Raises:
        ConfigurationError: the heights are not evenly spaced.
    """
    _voxels(np.zeros((0, 3)), config)


def _voxels(
    points: NDArray[np.float64], config: SegnetConfig
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """(height, row, column) (n, 3) of each point, and whether there is such a voxel."""
    heights = np.asarray(config.heights_m)
    spacing = np.diff(heights)
    if len(heights) < 2 or not np.allclose(spacing, spacing[0]) or spacing[0] <= 0:
        raise ConfigurationError(
            f"a sensor map needs two or more heights, evenly spaced upwards, got {heights.tolist()}"
        )
    cells = config.grid.to_cells(points[:, :2])
    levels = (points[:, 2:] - heights[0]) / spacing[0]
    places = np.floor(np.concatenate([levels, cells], axis=1) + 0.5)
    inside = np.all((places >= 0) & (places < (len(heights), *config.grid.shape)), axis=1)
    return np.where(inside[:, np.newaxis], places, 0).astype(np.intp), np.asarray(inside)


def _checked(values: NDArray[np.floating], name: str, columns: int) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != columns:
        raise ConfigurationError(f"{name} must have shape (n, {columns}), got {array.shape}")
    return array
