# SPDX-License-Identifier: Apache-2.0
"""LiDAR points lie on the surfaces that the cameras see."""

from __future__ import annotations

import numpy as np
from render_helpers import CALM, ground, mounted, placed, uneven_camera, world

from bev_perception.geometry import LidarScan, Rig, RigidTransform
from bev_perception.simulation.lidar import ABOVE_CAMERAS_M, DepthLidar, LidarSettings
from bev_perception.simulation.renderer import Renderer

RIG = Rig(
    {name: mounted(uneven_camera(), yaw_deg=yaw) for name, yaw in (("front", 0), ("left", 70))}
)
STATE = world(
    placed("van", 10.0, 1.0),
    map_T_base=RigidTransform.from_euler(yaw=0.3, translation=(4.0, -1.0, 0.0)),
)


def turn(settings: LidarSettings, stamp_ns: int = 1) -> LidarScan:
    with Renderer(RIG, ground(), CALM) as renderer:
        rendered = renderer.render(STATE, depths=True)
    return DepthLidar(RIG, settings, seed=3).scan(rendered.depths, rendered.images, stamp_ns)


def scan(settings: LidarSettings, stamp_ns: int = 1) -> np.ndarray:
    return turn(settings, stamp_ns).points


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


def test_every_return_tells_its_beam_and_how_bright_the_surface_is():
    settings = LidarSettings(range_noise_m=0.0, dropout=0.0)
    measured = turn(settings).returns
    assert len(np.unique(measured["ring"])) > 10
    lowest, highest = settings.elevations_deg
    from_camera = np.stack([measured[name] for name in "xyz"], axis=1)
    from_camera[:, 2] += ABOVE_CAMERAS_M  # both cameras stand where the LiDAR does, but lower
    angle = np.degrees(np.arcsin(from_camera[:, 2] / np.linalg.norm(from_camera, axis=1)))
    expected = np.linspace(lowest, highest, settings.num_beams)[measured["ring"]]
    np.testing.assert_allclose(angle, expected, atol=0.5)  # whole pixels
    assert 0 < measured["intensity"].min() < measured["intensity"].max() <= 255
    assert not measured["time"].any()


def test_nothing_returns_from_beyond_the_range():
    points = scan(LidarSettings(max_range_m=20.0, dropout=0.0))
    assert np.linalg.norm(points - [0.0, 0.0, 1.6], axis=1).max() <= 20.1


def test_the_same_stamp_gives_the_same_points():
    np.testing.assert_array_equal(scan(LidarSettings(), 7), scan(LidarSettings(), 7))
    assert scan(LidarSettings(), 7).shape != scan(LidarSettings(), 8).shape
