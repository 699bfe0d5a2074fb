# SPDX-License-Identifier: Apache-2.0
"""ONNX files of bev export: run as they are, and refused where they are not what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from engine_samples import CONFIG, rig_of

from bev_perception.errors import EngineError
from bev_perception.inference import TorchEngine, load_engine
from bev_perception.inference.exported_graph import ModelSource
from bev_perception.inference.onnx_file import write_onnx
from bev_perception.model import build_tap_table

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture
def exported(model, tmp_path) -> Path:
    source = ModelSource(model)
    path = tmp_path / "model.onnx"
    write_onnx(path, source.graph(source.layout_for(4), "fp32"))
    return path


def test_runs_as_the_weights_do(model, exported, images, taps):
    engine = load_engine(exported, backend="onnx", device="cpu")
    assert engine.config == CONFIG
    found = engine.infer(images, taps)
    expected = TorchEngine(model).infer(images, taps)
    np.testing.assert_allclose(found.probability, expected.probability, atol=1e-4)
    np.testing.assert_allclose(found.offset, expected.offset, atol=1e-4)


def test_auto_finds_a_library_for_it(exported, images, taps):
    engine = load_engine(exported, device="cpu")
    assert engine.infer(images, taps).center.shape == CONFIG.grid.shape


def change_a_weight(path: Path) -> None:
    graph = onnx.load(path)
    weight = next(entry for entry in graph.graph.initializer if len(entry.dims) == 4)
    values = onnx.numpy_helper.to_array(weight) * np.float32(1.5)
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(graph, path)


def forget_the_origin(path: Path) -> None:
    graph = onnx.load(path)
    del graph.metadata_props[:]
    onnx.save(graph, path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (change_a_weight, "was changed after its export"),
        (forget_the_origin, "does not say which model it is"),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "not a complete ONNX file"),
        (lambda path: path.write_bytes(b"no protobuf at all"), "not a complete ONNX file"),
        (lambda path: path.unlink(), "no such file"),
    ],
)
def test_files_that_are_not_what_they_say_are_refused(exported, spoil, message):
    spoil(exported)
    with pytest.raises(EngineError, match=message):
        load_engine(exported, backend="onnx", device="cpu")


def test_rigs_of_other_sizes_are_refused(exported, images):
    engine = load_engine(exported, backend="onnx", device="cpu")
    with pytest.raises(EngineError, match=r"exported for 4 cameras, the rig has 2; .*--cameras 2"):
        engine.infer(images[:2], build_tap_table(rig_of(2), CONFIG))
    with pytest.raises(EngineError, match=r"room for 2 cameras per voxel .* with --rig"):
        engine.infer(images, build_tap_table(rig_of(4, 170.0), CONFIG))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backend": "cpu"}, "backend cpu runs weights files, not ONNX files"),
        ({"backend": "cuda"}, "backend cuda runs weights files, not ONNX files"),
        ({"backend": "onnx", "precision": "bf16"}, "fp32 on a CPU, not in bf16"),
    ],
)
def test_libraries_that_cannot_run_it_are_refused(exported, arguments, message):
    with pytest.raises(EngineError, match=message):
        load_engine(exported, **arguments)
