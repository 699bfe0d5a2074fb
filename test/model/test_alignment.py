# SPDX-License-Identifier: Apache-2.0
"""Features of other moments come to lie where the same ground lies now."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from memory_samples import GRID, random_pose, rigid
from scipy.ndimage import map_coordinates

from bev_perception.geometry import ObjectBox, RigidTransform
from bev_perception.geometry.planar import PlanarPose
from bev_perception.geometry.rasterize import cells_in_convex_polygon
from bev_perception.model.alignment import aligned


@pytest.mark.parametrize("seed", range(8))
def test_alignment_is_scipys_interpolation_at_points_moved_in_three_dimensions(seed: int) -> None:
    random = np.random.default_rng(seed)
    there, here = random_pose(random, 40.0), random_pose(random, 40.0)
    near = PlanarPose(there.x + random.uniform(-6, 6), there.y + random.uniform(-6, 6), here.yaw)
    features = random.standard_normal((3, *GRID.shape)).astype(np.float32)

    moved = aligned(torch.from_numpy(features)[None], [there.inverse() @ near], GRID)[0].numpy()

    flat = np.concatenate([GRID.cell_centers, np.zeros((*GRID.shape, 1))], axis=-1)
    world_T_there, world_T_here = rigid(there, z=2.0), rigid(near, z=2.0)
    points = world_T_there.inverse().apply(world_T_here.apply(flat.reshape(-1, 3)))
    cells = GRID.to_cells(points[:, :2]).T
    for plane, expected in zip(moved, features):
        wanted = map_coordinates(expected, cells, order=1, mode="grid-constant")
        np.testing.assert_allclose(plane.ravel(), wanted, atol=2e-4)


@pytest.mark.parametrize("seed", range(8))
def test_a_box_moved_in_three_dimensions_covers_its_aligned_cells(seed: int) -> None:
    random = np.random.default_rng(seed)
    there, here = random_pose(random), random_pose(random, 3.0)
    box_there = ObjectBox(
        "car",
        1,
        RigidTransform.from_euler(yaw=random.uniform(-3, 3), translation=(4.0, -3.0, 0.8)),
        np.array([4.6, 2.0, 1.6]),
    )
    near = there @ here
    box_here = box_there.transformed(rigid(near).inverse() @ rigid(there))

    moved = aligned(filled(box_there), [there.inverse() @ near], GRID)[0, 0].numpy() > 0.5
    expected = filled(box_here)[0, 0].numpy() > 0.5
    both, either = (moved & expected).sum(), (moved | expected).sum()
    assert expected.sum() > 20
    assert both / either > 0.8  # cells at the edge are one or the other


def filled(box: ObjectBox) -> torch.Tensor:
    plane = torch.zeros(1, 1, *GRID.shape)
    rows, columns = cells_in_convex_polygon(GRID, box.footprint)
    plane[0, 0, rows, columns] = 1.0
    return plane


def test_standing_still_changes_nothing_and_features_keep_their_own_motion() -> None:
    features = torch.from_numpy(
        np.random.default_rng(0).standard_normal((2, 1, *GRID.shape)).astype(np.float32)
    )
    moved = aligned(features, [PlanarPose(), PlanarPose(1.0, -0.5, 0.0)], GRID)
    torch.testing.assert_close(moved[0], features[0], atol=1e-4, rtol=0)
    # The vehicle went two cells ahead and one to the right: the ground comes two cells back.
    torch.testing.assert_close(moved[1, :, 1:, :-2], features[1, :, :-1, 2:], atol=1e-4, rtol=0)
    assert moved[1, :, 0].abs().max() < 1e-4
    assert moved[1, :, :, -2:].abs().max() < 1e-4


def test_bfloat16_features_move_as_exactly_as_others() -> None:
    features = torch.randn(1, 2, *GRID.shape, generator=torch.Generator().manual_seed(0))
    motion = [PlanarPose(3.3, -1.7, 0.4)]
    rounded = features.bfloat16()
    torch.testing.assert_close(
        aligned(rounded, motion, GRID).float(),
        aligned(rounded.float(), motion, GRID),
        atol=0.02,
        rtol=0.01,
    )
