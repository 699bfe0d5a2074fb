# SPDX-License-Identifier: Apache-2.0
"""What is drawn lies where the camera model says, to a hundredth of a pixel."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from render_helpers import CALM, front_rig, ground, merged, placed, quad, world

from bev_perception.errors import CalibrationError
from bev_perception.geometry import PinholeCamera, RigidTransform
from bev_perception.simulation.models import object_mesh
from bev_perception.simulation.renderer import Renderer
from bev_perception.simulation.scene import Mesh

PIXEL_TOLERANCE = 0.01
FAR_FROM_ORIGIN = RigidTransform.from_euler(yaw=0.7, translation=(612.3, -481.7, 0.0))


def moved(mesh: Mesh, map_T_mesh: RigidTransform) -> Mesh:
    return Mesh(
        map_T_mesh.apply(mesh.vertices).astype(np.float32),
        map_T_mesh.rotate(mesh.normals).astype(np.float32),
        mesh.colors,
        mesh.materials,
        mesh.faces,
    )


def plane_depths(camera, base_T_camera, normal, distance):
    """Depth along the optical axis of the plane normal . p = distance at every pixel centre."""
    columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = base_T_camera.rotate(camera.unproject(np.stack([columns, rows], axis=-1)))
    with np.errstate(divide="ignore"):
        return (distance - normal @ base_T_camera.translation) / (rays @ normal)


@pytest.mark.parametrize(
    ("corners", "normal", "distance"),
    [
        ([(-9, -90, 0), (90, -90, 0), (90, 90, 0), (-9, 90, 0)], (0, 0, 1), 0.0),
        ([(-9, 3, -9), (60, 3, -9), (60, 3, 40), (-9, 3, 40)], (0, -1, 0), -3.0),
    ],
    ids=["ground", "wall beside"],
)
def test_depth_equals_the_plane_at_every_pixel_centre(corners, normal, distance):
    rig = front_rig(pitch_deg=4.0)
    entry = rig.cameras["front"]
    mesh = moved(quad(corners), FAR_FROM_ORIGIN)
    with Renderer(rig, mesh, CALM) as renderer:
        depth = renderer.render(world(map_T_base=FAR_FROM_ORIGIN), depths=True).depths["front"]
    expected = plane_depths(entry.camera, entry.base_T_camera, np.array(normal, float), distance)
    seen = np.isfinite(depth)
    assert seen.mean() > 0.2
    error = np.abs(depth - expected)[seen]
    assert (error / expected[seen]).max() < 3e-4
    # How far the sample would have to move in the image to change the depth by the error.
    slope = np.hypot(*np.gradient(expected))[seen]
    assert np.percentile(error / slope, 99) < PIXEL_TOLERANCE


def shoelace_centroid(polygon):
    x, y = polygon.T
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    center = [((x + np.roll(x, -1)) * cross).sum(), ((y + np.roll(y, -1)) * cross).sum()]
    return np.array(center) / (3 * cross.sum())


def test_quads_lie_within_a_hundredth_of_a_pixel_of_their_projection():
    rig = front_rig(PinholeCamera.from_intrinsics(1000, 760, 530.3, 711.9, 441.7, 298.2))
    entry = rig.cameras["front"]
    rng = np.random.default_rng(5)
    for _ in range(6):
        spin, depth = rng.uniform(0.1, 1.4), rng.uniform(6, 14)
        side = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * rng.uniform(1.5, 2.2) * depth / 8
        turn = np.array([[np.cos(spin), -np.sin(spin)], [np.sin(spin), np.cos(spin)]])
        yz = side @ turn.T + [rng.uniform(-1, 1), 1.0]
        corners = np.column_stack([depth + 0.4 * yz[:, 0], yz])
        with Renderer(rig, moved(quad(corners[::-1]), FAR_FROM_ORIGIN), CALM) as renderer:
            rendered = renderer.render(world(map_T_base=FAR_FROM_ORIGIN), depths=True)
        covered = np.argwhere(np.isfinite(rendered.depths["front"]))[:, ::-1]
        assert len(covered) > 10_000
        pixels, _ = entry.project(corners)
        assert np.abs(covered.mean(axis=0) - shoelace_centroid(pixels)).max() < PIXEL_TOLERANCE


def test_ids_cover_what_the_mesh_projects_to():
    rig = front_rig(pitch_deg=3.0)
    objects = [
        placed("sedan", 9.0, 2.0, yaw=0.4),
        placed("city_bus", 24.0, -4.0, yaw=2.9),
        placed("pedestrian", 5.0, -1.2),
    ]
    with Renderer(rig, ground(), CALM) as renderer:
        ids = renderer.render(world(*objects)).ids["front"]
    assert set(np.unique(ids)) == {0, 1, 2, 3}
    for index, state in enumerate(objects):
        vertices = state.box.pose.apply(object_mesh(state.model).vertices)
        pixels, valid = rig.cameras["front"].project(vertices)
        assert valid.all()
        found = np.argwhere(ids == index + 1)[:, ::-1].astype(float)
        hull = cv2.convexHull(pixels.astype(np.float32))
        outside = [cv2.pointPolygonTest(hull, tuple(map(float, pixel)), True) for pixel in found]
        assert min(outside) > -0.1
        low = np.maximum(pixels.min(axis=0), 0.0)
        assert np.abs(found.min(axis=0) - low).max() < 1.5


def test_sky_has_infinite_depth_and_no_id():
    with Renderer(front_rig(), ground(), CALM) as renderer:
        rendered = renderer.render(world(), depths=True)
    assert np.isinf(rendered.depths["front"][0]).all()
    assert (rendered.ids["front"] == 0).all()


@pytest.mark.parametrize(
    ("model", "coefficients"),
    [("plumb_bob", (-0.28, 0.08, 0.001, -0.0008, 0.0)), ("equidistant", (-0.02, 0.004, 0.0, 0.0))],
)
def test_distorted_cameras_see_points_where_their_lens_model_says(model, coefficients):
    camera = PinholeCamera.from_intrinsics(
        320, 240, 190.0, 195.0, 155.0, 122.0, model, coefficients
    )
    rig = front_rig(camera)
    columns, rows = np.meshgrid(np.arange(320), np.arange(240))
    rays = rig.cameras["front"].base_T_camera.rotate(
        camera.unproject(np.stack([columns, rows], axis=-1))
    )
    hits = rays * (8.0 / rays[..., :1]) + [0.0, 0.0, 1.6]
    turn = np.array([[0.94, -0.342], [0.342, 0.94]])
    for y, z in ((5.0, 3.9), (-4.5, -0.5), (0.2, 1.4)):
        turned = turn @ np.array([[1, -1, -1, 1], [-1, -1, 1, 1]])
        patch = quad([(8, y + dy, z + dz) for dy, dz in turned.T])
        with Renderer(rig, patch, CALM) as renderer:
            depth = renderer.render(world(), depths=True).depths["front"]
        expected = (np.abs((hits[..., 1:] - [y, z]) @ turn) <= 1.0).all(axis=-1)
        found = np.isfinite(depth)
        assert expected.sum() > 1000
        assert (found != expected).sum() < 0.05 * expected.sum()
        shift = np.argwhere(found).mean(axis=0) - np.argwhere(expected).mean(axis=0)
        assert np.abs(shift).max() < 0.1
        assert np.abs(depth[found] - 8.0).max() < 1e-3


def test_a_lens_too_wide_for_a_plane_is_refused():
    fisheye = PinholeCamera.from_intrinsics(
        640, 480, 180.0, 180.0, 319.5, 239.5, "equidistant", (0.0, 0.0, 0.0, 0.0)
    )
    with pytest.raises(CalibrationError, match="camera front: its lens sees up to"):
        Renderer(front_rig(fisheye), ground(), CALM)


def test_hidden_objects_have_no_ids():
    wall = quad([(6, 20, -1), (6, -20, -1), (6, -20, 9), (6, 20, 9)])
    with Renderer(front_rig(), merged(ground(), wall), CALM) as renderer:
        ids = renderer.render(world(placed("van", 15.0, 0.0))).ids["front"]
    assert (ids == 0).all()
