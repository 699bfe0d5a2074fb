# SPDX-License-Identifier: Apache-2.0
"""Meshes fill their catalogue size, face outwards and carry the object's colour."""

from __future__ import annotations

import numpy as np
import pytest

from bev_perception.errors import ConfigurationError
from bev_perception.simulation.models import GAIT_STEPS, gait_step, object_mesh
from bev_perception.simulation.scene import CATALOG, Material


@pytest.mark.parametrize("model", CATALOG)
def test_mesh_fills_its_size_exactly_around_the_origin(model):
    vertices = object_mesh(model).vertices
    half = np.array(CATALOG[model].size) / 2
    np.testing.assert_allclose(vertices.max(axis=0), half, atol=2e-6)
    np.testing.assert_allclose(vertices.min(axis=0), -half, atol=2e-6)


@pytest.mark.parametrize("model", CATALOG)
def test_faces_wind_counter_clockwise_around_their_normals(model):
    mesh = object_mesh(model)
    corners = mesh.vertices[mesh.faces].astype(float)
    outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    agreement = (outward[:, None] * mesh.normals[mesh.faces]).sum(axis=2)
    assert (agreement > 0).all()
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1.0, atol=1e-4)


@pytest.mark.parametrize("model", CATALOG)
def test_seen_from_above_the_paint_faces_up_and_vehicles_have_glass_and_lights(model):
    mesh = object_mesh(model)
    materials = set(np.unique(mesh.materials))
    assert Material.PAINT in materials
    if CATALOG[model].label in ("car", "van", "truck", "bus"):
        assert {Material.GLASS, Material.LIGHT} <= materials
        front = mesh.vertices[:, 0] > 0.45 * CATALOG[model].size[0]
        rear = mesh.vertices[:, 0] < -0.45 * CATALOG[model].size[0]
        light = mesh.materials == Material.LIGHT
        assert mesh.colors[front & light].min() >= 0.0
        assert mesh.colors[front & light][:, 2].max() > 0.5
        assert mesh.colors[rear & light][:, 2].max() < 0.1


def test_a_walkers_steps_stay_inside_its_box_and_move_its_feet():
    half = np.array(CATALOG["pedestrian"].size) / 2
    feet = []
    for step in range(GAIT_STEPS):
        vertices = object_mesh("pedestrian", step).vertices
        assert (np.abs(vertices) <= half + 0.011).all()
        sole = vertices[vertices[:, 2] < -half[2] + 0.02]
        feet.append(np.ptp(sole[:, 0]))
    assert max(feet) - min(feet) > 0.2


def test_gait_steps_go_round_once_per_cycle():
    phases = np.arange(GAIT_STEPS) * 2 * np.pi / GAIT_STEPS
    assert [gait_step("pedestrian", phase) for phase in phases] == list(range(GAIT_STEPS))
    assert gait_step("pedestrian", 2 * np.pi) == 0
    assert gait_step("sedan", 3.0) == 0


def test_unknown_model_is_named():
    with pytest.raises(ConfigurationError, match="unknown model 'tank'"):
        object_mesh("tank")
