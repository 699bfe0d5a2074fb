# SPDX-License-Identifier: Apache-2.0
"""Evidence is taken from pixels exactly: patches of road, shared features, edges, corners."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from moving_scene import mounted, step
from numpy.typing import NDArray

from bev_perception.doctor.geometry_direction import Flip
from bev_perception.doctor.geometry_ground import ground_tracks
from bev_perception.doctor.geometry_overlap import match, overlap_views
from bev_perception.doctor.image_lines import line_segments
from bev_perception.doctor.image_tracks import feature_tracks
from bev_perception.geometry import Rig, RigCamera, RigidTransform


def painted(entry: RigCamera, world_T_base: RigidTransform) -> NDArray[np.uint8]:
    """A camera's view of a road with a faint pattern below walls full of spots, 20 m away."""
    random = np.random.default_rng(2)
    road = cv2.GaussianBlur(random.normal(90.0, 60.0, (1024, 1024)), (0, 0), 1.5)
    wall = cv2.GaussianBlur(random.normal(120.0, 500.0, (1024, 1024)), (0, 0), 3.0)
    camera = entry.camera
    pixels = np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), axis=-1)
    mounting = world_T_base @ entry.base_T_camera
    rays, eye = mounting.rotate(camera.unproject(pixels)), mounting.translation
    down = eye[2] / np.maximum(-rays[..., 2], 1e-6)
    flat = np.hypot(rays[..., 0], rays[..., 1])
    out = 20.0 / flat  # about: the walls stand around where the vehicle began
    is_road = down < out
    points = eye + rays * np.minimum(down, out)[..., None]
    bearing = np.arctan2(points[..., 1], points[..., 0])
    u = np.where(is_road, points[..., 0] / 0.04, bearing * 500.0)
    v = np.where(is_road, points[..., 1] / 0.04, points[..., 2] * 25.0)
    maps = [(each % 1024).astype(np.float32) for each in (u, v)]
    shown = [cv2.remap(each, *maps, cv2.INTER_LINEAR) for each in (road, wall)]
    return np.clip(np.where(is_road, *shown), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def drive() -> tuple[RigCamera, RigidTransform, NDArray[np.uint8], NDArray[np.uint8]]:
    entry, motion = mounted(0.0), step(0.7)
    images = painted(entry, RigidTransform.identity()), painted(entry, motion.inverse())
    return entry, motion, *images


@pytest.mark.parametrize("wrong_m", [0.0, -0.15])
def test_patches_of_bare_road_are_found_again_also_with_a_wrong_height(
    drive: tuple[RigCamera, RigidTransform, NDArray[np.uint8], NDArray[np.uint8]], wrong_m: float
) -> None:
    entry, motion, first, second = drive
    lower = RigidTransform(np.eye(3), np.array([0.0, 0.0, wrong_m]))
    told = replace(entry, base_T_camera=lower @ entry.base_T_camera)
    found = ground_tracks(first, second, told, motion)
    assert len(found.first) >= 10
    rays = entry.base_T_camera.rotate(entry.camera.unproject(found.first))
    eye = entry.base_T_camera.translation
    road = eye + rays * (eye[2] / -rays[:, 2:])
    expected, _ = entry.project(motion.apply(road))
    off = np.linalg.norm(found.second - expected, axis=1)
    assert np.median(off) < 0.5


def test_a_vehicle_that_stands_shows_no_distances() -> None:
    entry = mounted(0.0)
    image = painted(entry, RigidTransform.identity())
    assert len(ground_tracks(image, image, entry, RigidTransform.identity()).first) == 0


def test_neighbours_share_features_until_one_of_them_is_turned() -> None:
    rig = Rig({"front": mounted(0.0), "left": mounted(70.0)})
    images = tuple(painted(entry, RigidTransform.identity()) for entry in rig.cameras.values())
    (view,) = overlap_views(rig)
    entries = rig["front"], rig["left"]
    right = match(view, (images[0], images[1]), entries)
    assert right.agreeing >= 20
    assert abs(np.median(right.off_deg)) < 0.3
    for flip in (Flip.MIRRORED, Flip.UPSIDE_DOWN):
        turned = (flip.undo(images[0]), images[1])
        assert match(view, turned, entries).agreeing < right.agreeing / 4
        again = match(view, turned, entries, (flip, Flip.NONE))
        assert again.agreeing == right.agreeing


def test_cameras_that_look_apart_share_no_view() -> None:
    assert overlap_views(Rig({"front": mounted(0.0), "rear": mounted(180.0)})) == []


def test_edges_and_corners_are_found_where_they_are() -> None:
    image = np.full((200, 300), 60, np.uint8)
    cv2.rectangle(image, (100, 50), (180, 150), 200, -1)
    ends = line_segments(image)
    upright = ends[abs(ends[:, 0, 0] - ends[:, 1, 0]) < 1.0]
    assert sorted(upright[:, :, 0].mean(axis=1)) == pytest.approx([99.5, 180.5], abs=0.3)
    tracks = feature_tracks(image, np.roll(image, (3, 7), axis=(0, 1)))
    assert len(tracks.first) >= 4
    assert tracks.second - tracks.first == pytest.approx(
        np.tile([7.0, 3.0], (len(tracks.first), 1)), abs=0.1
    )
