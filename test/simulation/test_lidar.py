# SPDX-License-Identifier: Apache-2.0
"""LiDAR points lie on the surfaces that the cameras see."""

from __future__ import annotations

import numpy as np
from render_helpers import CALM, ground, mounted, placed, uneven_camera, world

from bev_perception.geometry import Rig, RigidTransform
from bev_perception.simulation.lidar import DepthLidar, LidarSettings
from bev_perception.simulation.renderer import Renderer

RIG = Rig(
    {name: mounted(uneven_camera(), yaw_deg=yaw) for name, yaw in (("front", 0), ("left", 70))}
)
STATE = world(
    placed("van", 10.0, 1.0),
    map_T_base=RigidTransform.from_euler(yaw=0.3, translation=(4.0, -1.0, 0.0)),
)


def scan(settings: LidarSettings, stamp_ns: int = 1) -> np.ndarray:
    with Renderer(RIG, ground(), CALM) as renderer:
        depths = renderer.render(STATE, depths=True).depths
    return DepthLidar(RIG, settings, seed=3).points(depths, stamp_ns)


def test_points_lie_on_the_ground_or_on_the_object():
    points = scan(LidarSettings(range_noise_m=0.0, dropout=0.0))
    box = STATE.objects[0].box.transformed(STATE.map_T_base.inverse())
    on_ground = np.abs(points[:, 2]) < 0.01
    local = box.pose.inverse().apply(points)
    on_object = (np.abs(local) < box.size / 2 + 0.02).all(axis=1)
    assert (on_ground | on_object).all()
    assert on_object.sum() > 50
    assert on_ground.sum() > 500


def test_ranges_scatter_by_the_noise_and_some_shots_are_lost():
    clean = scan(LidarSettings(range_noise_m=0.0, dropout=0.0))
    noisy = scan(LidarSettings(range_noise_m=0.05, dropout=0.2))
    assert 0.75 < len(noisy) / len(clean) < 0.85
    assert noisy[:, 2].min() < -0.01
    assert clean.dtype == np.float32


def test_nothing_returns_from_beyond_the_range():
    points = scan(LidarSettings(max_range_m=20.0, dropout=0.0))
    assert np.linalg.norm(points - [0.0, 0.0, 1.6], axis=1).max() <= 20.1


def test_the_same_stamp_gives_the_same_points():
    np.testing.assert_array_equal(scan(LidarSettings(), 7), scan(LidarSettings(), 7))
    assert scan(LidarSettings(), 7).shape != scan(LidarSettings(), 8).shape
