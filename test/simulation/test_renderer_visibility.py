# SPDX-License-Identifier: Apache-2.0
"""Visibility equals a count of pixels with and without everything else."""

from __future__ import annotations

import numpy as np
import pytest
from render_helpers import CALM, ground, merged, mounted, placed, quad, uneven_camera, world

from bev_perception.geometry import PinholeCamera, Rig
from bev_perception.simulation.renderer import Renderer

NOTHING = quad([(-1, -1, -900), (1, -1, -900), (1, 1, -900), (-1, 1, -900)])
WALL = quad([(11, 1, 0), (11, -6, 0), (11, -6, 1.2), (11, 1, 1.2)])


def rig_of(kind: str) -> Rig:
    camera = uneven_camera()
    if kind == "distorted":
        camera = PinholeCamera.from_intrinsics(
            320, 240, 190.0, 195.0, 155.0, 122.0, "plumb_bob", (-0.28, 0.08, 0.001, -0.001, 0.0)
        )
    return Rig({"front": mounted(camera), "left": mounted(camera, yaw_deg=80.0)})


def pixels_of(renderer: Renderer, state, index: int) -> int:
    ids = renderer.render(state).ids
    return sum(int((image == index + 1).sum()) for image in ids.values())


@pytest.mark.parametrize("kind", ["ideal", "distorted"])
def test_visibility_equals_brute_force(kind):
    rig = rig_of(kind)
    objects = (
        placed("sedan", 9.0, 2.0, yaw=0.4),
        placed("city_bus", 20.0, 3.0, yaw=0.1),
        placed("pedestrian", 14.0, -1.0),
        placed("suv", 2.5, 4.0, yaw=1.2),
        placed("bicycle", 30.0, -14.0),
    )
    static = merged(ground(), WALL)
    state = world(*objects)
    with Renderer(rig, static, CALM) as renderer:
        shares = renderer.visibility(state, renderer.render(state), range(len(objects)))
        visible = [pixels_of(renderer, state, index) for index in range(len(objects))]
    with Renderer(rig, NOTHING, CALM) as renderer:
        alone = [pixels_of(renderer, world(entry), 0) for entry in objects]
    np.testing.assert_allclose(shares, np.divide(visible, alone), atol=1e-9)
    assert 0.05 < shares[1] < 0.95
    assert 0.0 < shares[2] < 0.9


def test_objects_behind_the_cameras_or_a_wall_have_visibility_zero():
    high_wall = quad([(8, 40, -1), (8, -40, -1), (8, -40, 9), (8, 40, 9)])
    rig = Rig({"front": mounted(uneven_camera())})
    state = world(placed("sedan", -10.0, 0.0), placed("sedan", 20.0, 0.0))
    with Renderer(rig, high_wall, CALM) as renderer:
        shares = renderer.visibility(state, renderer.render(state), [0, 1])
    np.testing.assert_array_equal(shares, [0.0, 0.0])


def test_many_near_objects_overflow_one_atlas_without_loss():
    rig = Rig({"front": mounted(PinholeCamera.from_field_of_view(900, 700, 90.0))})
    objects = [placed("city_bus", 9.0, 0.0, yaw=0.2 * k) for k in range(12)]
    state = world(*objects)
    with Renderer(rig, ground(), CALM) as renderer:
        shares = renderer.visibility(state, renderer.render(state), range(12))
        alone = renderer.render(world(objects[11]))
        together = renderer.render(state)
    expected = (together.ids["front"] == 12).sum() / (alone.ids["front"] == 1).sum()
    assert shares[11] == pytest.approx(expected)
