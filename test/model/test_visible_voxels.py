# SPDX-License-Identifier: Apache-2.0
"""Culling changes nothing: what is seen is what the projection of every voxel says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from segnet_samples import LENSES

from bev_perception.geometry import BevGrid, PinholeCamera, RigCamera, RigidTransform
from bev_perception.geometry.frames import BODY_T_OPTICAL
from bev_perception.model import visible_voxels

GRID = BevGrid(-12.0, -10.0, 0.5, 46, 41)
HEIGHTS = (-0.5, 0.0, 2.5)


def by_projecting_everything(camera: RigCamera) -> dict[int, tuple[float, float]]:
    """Pixel by voxel index."""
    points = np.empty((*GRID.shape, len(HEIGHTS), 3))
    points[..., :2] = GRID.cell_centers[:, :, None]
    points[..., 2] = HEIGHTS
    pixels, valid = camera.project(points.reshape(-1, 3))
    seen = np.flatnonzero(valid & camera.camera.contains(pixels))
    return dict(zip(seen.tolist(), map(tuple, pixels[seen].tolist())))


def assert_nothing_is_culled_that_is_seen(camera: RigCamera) -> int:
    voxels, pixels = visible_voxels(camera, GRID, HEIGHTS)
    expected = by_projecting_everything(camera)
    assert len(voxels) == len(set(voxels.tolist()))
    assert set(voxels.tolist()) == set(expected)
    if expected:
        wanted = [expected[voxel] for voxel in voxels.tolist()]
        np.testing.assert_allclose(pixels, wanted, rtol=0.0, atol=1e-9)
    return len(voxels)


@settings(max_examples=150, deadline=None)
@given(
    lens=st.sampled_from(sorted(LENSES)),
    field_deg=st.floats(20.0, 150.0),
    angles=st.tuples(*[st.floats(-math.pi, math.pi)] * 3),
    position=st.tuples(*[st.floats(-15.0, 15.0)] * 3),
    crop=st.tuples(st.integers(-30, 60), st.integers(-30, 40)),
)
def test_every_voxel_that_projects_into_the_image_is_found_once(
    lens, field_deg, angles, position, crop
):
    model, coefficients = LENSES[lens]
    focal = 48.0 / math.tan(math.radians(field_deg) / 2.0)
    camera = PinholeCamera.from_intrinsics(96, 64, focal, focal, 47, 31, model, coefficients)
    mount = RigidTransform.from_euler(*angles, position)
    assert_nothing_is_culled_that_is_seen(RigCamera(camera.cropped(*crop, 96, 64), mount))


@pytest.mark.parametrize("yaw_deg", [0.0, 90.0, 180.0, 270.0])
@pytest.mark.parametrize("lens", LENSES)
def test_cameras_along_the_grids_axes_see_their_quarter(lens, yaw_deg):
    """Planes of the view are parallel to lines of the grid here."""
    model, coefficients = LENSES[lens]
    camera = PinholeCamera.from_intrinsics(96, 64, 48.0, 48.0, 47.5, 31.5, model, coefficients)
    mount = RigidTransform.from_euler(yaw=math.radians(yaw_deg), translation=(0.0, 0.0, 1.0))
    found = assert_nothing_is_culled_that_is_seen(RigCamera(camera, mount @ BODY_T_OPTICAL))
    assert 0.1 < found / (GRID.num_x * GRID.num_y * len(HEIGHTS)) < 0.5


def test_a_lens_that_folds_back_inside_the_image_culls_only_what_lies_behind():
    lens = (-0.35, 0.0, 0.0, 0.0)
    camera = PinholeCamera.from_intrinsics(96, 64, 30.0, 30.0, 47.5, 31.5, "plumb_bob", lens)
    assert np.isnan(camera.unproject([-0.5, -0.5])).any()
    found = assert_nothing_is_culled_that_is_seen(RigCamera(camera, BODY_T_OPTICAL))
    assert found > 100


def test_a_camera_that_looks_at_the_sky_sees_no_voxel():
    upwards = RigidTransform.from_euler(pitch=-math.pi / 2, translation=(0.0, 0.0, 30.0))
    camera = PinholeCamera.from_field_of_view(96, 64, 100.0)
    voxels, pixels = visible_voxels(RigCamera(camera, upwards @ BODY_T_OPTICAL), GRID, HEIGHTS)
    assert voxels.shape == (0,)
    assert pixels.shape == (0, 2)
