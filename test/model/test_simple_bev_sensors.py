# SPDX-License-Identifier: Apache-2.0
"""Sensor maps of imported networks: where points land, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from segnet_samples import random_images, ring_rig, small_config

from bev_perception.errors import ConfigurationError
from bev_perception.model import Segnet, build_tap_table
from bev_perception.model.sensor_map import sensor_map

HEIGHTS = (-0.5, 0.5, 1.5)
POINTS = np.array([[-8.6, -10.1, 0.2], [8.9, 10.4, 1.9], [0.0, 0.0, 2.1], [9.1, 0.0, 0.0]])
"""In the first cell, in the last one, above the highest voxel, beyond the grid."""


def config_for(sensor: str):
    return small_config(sensor=sensor, heights_m=HEIGHTS)


def test_lidar_points_mark_their_voxels():
    found = sensor_map(POINTS, config_for("lidar"))
    assert found.shape == (1, 3, 21, 18)
    assert found.nonzero().tolist() == [[0, 1, 0, 0], [0, 2, 20, 17]]
    assert found.max() == 1.0


def test_radar_marks_columns():
    found = sensor_map(POINTS, config_for("radar"))
    assert found.shape == (1, 1, 21, 18)
    assert found.nonzero().tolist() == [[0, 0, 0, 0], [0, 0, 20, 17]]


def test_radar_features_are_stacked_by_height_and_the_last_return_stays():
    features = np.arange(64, dtype=np.float64).reshape(4, 16)
    again = -features[:1] - 1  # of another return in the first voxel
    points, values = np.concatenate([POINTS, POINTS[:1]]), np.concatenate([features, again])
    found = sensor_map(points, config_for("radar_features"), values)
    assert found.shape == (1, 48, 21, 18)
    np.testing.assert_array_equal(found[0, 16:32, 0, 0], again[0])
    np.testing.assert_array_equal(found[0, 32:, 20, 17], features[1])
    assert (found != 0).sum() == 32


def test_no_points_make_an_empty_map():
    assert not sensor_map(np.zeros((0, 3)), config_for("lidar")).any()
    assert not sensor_map(np.full((2, 3), np.nan), config_for("lidar")).any()


@pytest.mark.parametrize(
    ("config", "points", "features", "message"),
    [
        (small_config(), POINTS, None, "takes images alone"),
        (
            config_for("lidar"),
            POINTS[:, :2],
            None,
            r"points must have shape \(n, 3\), got \(4, 2\)",
        ),
        (config_for("radar_features"), POINTS, None, r"features must have shape \(n, 16\)"),
        (config_for("radar_features"), POINTS, np.zeros((3, 16)), "4 points, but features of 3"),
        (small_config(sensor="lidar", heights_m=(0.0,)), POINTS, None, "two or more heights"),
        (small_config(sensor="lidar", heights_m=(0.0, 1.0, 3.0)), POINTS, None, "evenly spaced"),
    ],
)
def test_what_makes_no_map_is_refused(config, points, features, message):
    with pytest.raises(ConfigurationError, match=message):
        sensor_map(points, config, features)


def test_a_network_without_its_sensor_and_a_sensor_without_its_network_are_refused():
    lidar = Segnet(config_for("lidar")).eval()
    cameras = Segnet(small_config(heights_m=HEIGHTS)).eval()
    taps = build_tap_table(ring_rig(lidar.config.image_size), lidar.config)
    images = torch.from_numpy(random_images(lidar.config)).permute(0, 3, 1, 2)[None]
    found = sensor_map(POINTS, lidar.config)
    with torch.no_grad():
        with pytest.raises(ConfigurationError, match=r"takes a map of LiDAR.*got images alone"):
            lidar(images, taps)
        with pytest.raises(ConfigurationError, match=r"takes images alone.*got a sensor map"):
            cameras(images, taps, sensor_map=found)
        empty = lidar(images, taps, sensor_map=torch.zeros_like(found)).segmentation
        assert not torch.equal(lidar(images, taps, sensor_map=found).segmentation, empty)


def test_unknown_sensor_is_refused():
    with pytest.raises(ConfigurationError, match=r"unknown sensor 'sonar'.*lidar"):
        small_config(sensor="sonar")
