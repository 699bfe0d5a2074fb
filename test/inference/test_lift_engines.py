# SPDX-License-Identifier: Apache-2.0
"""Engines run every lift as the network does, or say by its name that they cannot."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_samples import CPU, TENSORRT_OPERATORS

from bev_perception.errors import EngineError
from bev_perception.geometry import BevGrid, CameraFrame, FrameSet
from bev_perception.geometry.rig_file import load_rig
from bev_perception.inference import TorchEngine, make_engine, why_unavailable
from bev_perception.inference.engine import any_table
from bev_perception.inference.engine_cache import EngineCache
from bev_perception.inference.exported_graph import ModelSource
from bev_perception.inference.onnx_file import FileSource, write_onnx
from bev_perception.model import LIFTS, Segnet, SegnetConfig, build_lift_geometry
from bev_perception.model.sensor_map import cloud_map
from bev_perception.perception import Pipeline, Preparation
from bev_perception.resources import config_path

RIG = load_rig(config_path("rigs/default.yaml"))


def network(lift: str, sensor: str = "none", fine: bool = False) -> Segnet:
    """Fine is with details of images and of cells."""
    torch.manual_seed(0)
    grid = BevGrid.centered(10.0, 1.0)
    widths = (8, 8, 8)
    config = SegnetConfig(
        "light",
        (32, 48),
        (0.0, 1.0),
        grid,
        8,
        widths,
        widths,
        lift=lift,
        sensor=sensor,
        feature_stride=4 if fine else 8,
        decoder_stride=2 if fine else 1,
    )
    return Segnet(config).eval()


def skip_without(backend: str) -> None:
    if reason := why_unavailable(backend):
        pytest.skip(reason)


def shaken(model: Segnet) -> Segnet:
    """With lifts and details that do not do the same everywhere, as new ones do."""
    if model.lifting is not None:
        for tensor in model.lifting.parameters():
            torch.nn.init.normal_(tensor, std=0.5)
    for refinement in (model.encoder.refinement, model.decoder.refinement):
        if refinement is not None:
            torch.nn.init.normal_(refinement.to_details.weight)
    return model


@pytest.mark.parametrize("fine", [False, True])
@pytest.mark.parametrize("lift", LIFTS)
def test_the_engine_answers_what_the_network_does_with_a_camera_missing(lift, fine):
    model = shaken(network(lift, fine=fine))
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


@pytest.mark.parametrize(
    ("lift", "backend", "fine"),
    [
        ("bilinear", "onnx", True),
        ("bilinear", "openvino", True),
        ("ground", "onnx", False),
        ("ground_late", "openvino", False),
        ("depth", "onnx", False),
        ("depth", "openvino", True),
        ("attention", "onnx", True),
        ("attention", "openvino", False),
    ],
)
def test_graphs_of_other_libraries_answer_what_the_network_does_for_several_rigs(
    lift, backend, fine, tmp_path
):
    skip_without(backend)
    model = shaken(network(lift, fine=fine))
    engine = make_engine(model, backend=backend, cache=EngineCache(tmp_path), **CPU)
    engine.warm_up(4)
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 48, 3), dtype=np.uint8)
    for present in ((True,) * 4, (True, True, False, True), (False,) * 4):
        geometry = build_lift_geometry(Preparation(RIG, (32, 48)).rig, model.config, present)
        expected = TorchEngine(model).infer(images, geometry)
        found = engine.infer(images, geometry)
        np.testing.assert_allclose(found.probability, expected.probability, atol=1e-4)
        np.testing.assert_allclose(found.center, expected.center, atol=1e-4)
        np.testing.assert_allclose(found.offset, expected.offset, atol=1e-3)
    assert len(list(tmp_path.iterdir())) <= 2, "one engine for all rigs, or one larger one"


@pytest.mark.parametrize(
    ("lift", "sensor", "backend"),
    [
        ("bilinear", "lidar", "openvino"),
        ("bilinear", "radar_features", "onnx"),
        ("attention", "radar", "onnx"),
    ],
)
def test_graphs_take_what_a_sensor_measured(lift, sensor, backend, tmp_path):
    skip_without(backend)
    model = network(lift, sensor)
    torch.nn.init.normal_(model.sensor_convolution.weight, std=0.3)
    engine = make_engine(model, backend=backend, cache=EngineCache(tmp_path), **CPU)
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 48, 3), dtype=np.uint8)
    geometry = build_lift_geometry(Preparation(RIG, (32, 48)).rig, model.config)
    points = np.random.default_rng(1).uniform(-9, 9, (500, 19 if "_" in sensor else 3))
    answers = []
    for measured in (cloud_map(points, model.config), None):
        expected = TorchEngine(model).infer(images, geometry, None, None, measured)
        found = engine.infer(images, geometry, None, None, measured)
        np.testing.assert_allclose(found.probability, expected.probability, atol=1e-4)
        np.testing.assert_allclose(found.offset, expected.offset, atol=1e-3)
        answers.append(found.offset)
    assert np.abs(answers[0] - answers[1]).max() > 0.01, "the sensor changes nothing: a weak test"
    with pytest.raises(EngineError, match=r"must have shape .*cloud_map"):
        engine.infer(images, geometry, None, None, torch.zeros(1, 1, 3, 3))


@pytest.mark.parametrize("lift", ["ground_late", "depth", "attention"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_graphs_of_lifts_that_learn_hold_operators_that_every_library_takes(
    lift, precision, tmp_path
):
    onnx = pytest.importorskip("onnx")
    source = ModelSource(network(lift))
    exported = source.graph(source.layout_for(4), precision)
    write_onnx(tmp_path / "lift.onnx", exported)
    assert FileSource(tmp_path / "lift.onnx").layout_for(4) == exported.layout
    graph = onnx.load_from_string(exported.onnx)
    onnx.checker.check_model(graph, full_check=precision != "bf16")
    assert {node.op_type for node in graph.graph.node} <= TENSORRT_OPERATORS


def test_openvino_in_bf16_is_not_given_places_that_it_would_round(caplog):
    skip_without("openvino")
    model = network("attention")
    with pytest.raises(EngineError, match=r"rounds the places .* precision fp32, or backend cpu"):
        make_engine(model, "cpu", "bf16", "openvino")
    with caplog.at_level(logging.INFO):
        assert make_engine(model, "cpu", "bf16").backend == "cpu"
    assert "rounds the places" in caplog.text


def test_the_geometry_of_another_lift_is_refused():
    model = network("depth")
    other = replace(model.config, lift="attention")
    images = np.zeros((4, 32, 48, 3), dtype=np.uint8)
    with pytest.raises(EngineError, match=r"a SightingTable is for another lift, .* lift depth"):
        TorchEngine(model).infer(images, any_table(other, 4))
