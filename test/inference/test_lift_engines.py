# SPDX-License-Identifier: Apache-2.0
"""Engines run every lift as the network does, or say by its name that they cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bev_perception.errors import EngineError
from bev_perception.geometry import BevGrid, CameraFrame, FrameSet
from bev_perception.geometry.rig_file import load_rig
from bev_perception.inference import TorchEngine
from bev_perception.inference.engine import any_table
from bev_perception.inference.exported_graph import ModelSource
from bev_perception.model import LIFTS, Segnet, SegnetConfig, build_lift_geometry
from bev_perception.perception import Pipeline, Preparation
from bev_perception.resources import config_path

RIG = load_rig(config_path("rigs/default.yaml"))


def network(lift: str) -> Segnet:
    torch.manual_seed(0)
    grid = BevGrid.centered(10.0, 1.0)
    config = SegnetConfig("light", (32, 48), (0.0, 1.0), grid, 8, (8, 8, 8), (8, 8, 8), lift=lift)
    return Segnet(config).eval()


@pytest.mark.parametrize("lift", LIFTS)
def test_the_engine_answers_what_the_network_does_with_a_camera_missing(lift):
    model = network(lift)
    rig = Preparation(RIG, (32, 48)).rig
    geometry = build_lift_geometry(rig, model.config, (True, True, False, True))
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 48, 3), dtype=np.uint8)
    with torch.no_grad():
        expected = model(torch.from_numpy(images)[None].permute(0, 1, 4, 2, 3), geometry)
    engine = TorchEngine(model)
    engine.warm_up(4)
    found = engine.infer(images, geometry)
    np.testing.assert_allclose(found.probability, expected.occupancy[0, 0], atol=1e-5)
    np.testing.assert_allclose(found.offset, expected.offset[0], atol=1e-4)
    images[2] = 99
    np.testing.assert_array_equal(engine.infer(images, geometry).offset, found.offset)


@pytest.mark.parametrize("lift", LIFTS)
def test_the_pipeline_runs_it_and_knows_where_nobody_looks(lift):
    pipeline = Pipeline(TorchEngine(network(lift)), RIG)
    random = np.random.default_rng(1)
    frames = {
        name: CameraFrame(name, 0, random.integers(0, 256, (448, 672, 3), dtype=np.uint8))
        for name in ("front", "left")
    }
    output = pipeline.process(FrameSet(0, frames, ("rear", "right")))
    assert np.isfinite(output.probability).all()
    assert output.unknown[3, 3]  # behind on the right
    assert not output.unknown[10, 18]  # ahead


@pytest.mark.parametrize("lift", LIFTS)
def test_other_libraries_get_a_graph_or_a_refusal_that_names_the_lift(lift):
    if lift in ("bilinear", "ground"):
        assert ModelSource(network(lift)).layout_for(4).sightings > 400
    else:
        with pytest.raises(EngineError, match=f"has lift {lift}.*bilinear and ground alone"):
            ModelSource(network(lift))


def test_the_geometry_of_another_lift_is_refused():
    model = network("depth")
    other = replace(model.config, lift="attention")
    images = np.zeros((4, 32, 48, 3), dtype=np.uint8)
    with pytest.raises(EngineError, match=r"a SightingTable is for another lift, .* lift depth"):
        TorchEngine(model).infer(images, any_table(other, 4))
