# SPDX-License-Identifier: Apache-2.0
"""Engines of other libraries: torch's numbers, clear refusals."""

from __future__ import annotations

import logging
import sys

import numpy as np
import pytest
import torch
from engine_samples import CONFIG, CPU, GRAPHS, rig_of

from bev_perception.errors import EngineError
from bev_perception.inference import (
    BACKENDS,
    TorchEngine,
    make_engine,
    make_room,
    why_unavailable,
)
from bev_perception.model import build_tap_table


@pytest.mark.parametrize("backend", GRAPHS)
def test_equals_torch(model, images, taps, cache, backend):
    engine = make_engine(model, backend=backend, cache=cache, **CPU)
    assert (engine.backend, engine.device, engine.precision) == (backend, "cpu", "fp32")
    expected = TorchEngine(model).infer(images, taps)
    for _ in range(2):
        output = engine.infer(images, taps)
        np.testing.assert_allclose(output.probability, expected.probability, atol=1e-4)
        np.testing.assert_allclose(output.center, expected.center, atol=1e-4)
        np.testing.assert_allclose(output.offset, expected.offset, atol=1e-4)


@pytest.mark.parametrize("backend", GRAPHS)
def test_outputs_stay_when_the_next_moment_comes(model, images, taps, cache, backend):
    engine = make_engine(model, backend=backend, cache=cache, **CPU)
    first = engine.infer(images, taps)
    kept = first.offset.copy()
    engine.infer(255 - images, taps)
    np.testing.assert_array_equal(first.offset, kept)


@pytest.mark.parametrize("backend", GRAPHS)
def test_another_calibration_needs_no_other_engine(model, images, taps, cache, backend):
    engine = make_engine(model, backend=backend, cache=cache, **CPU)
    engine.infer(images, taps)
    tilted = build_tap_table(rig_of(4, 90.0), CONFIG)
    expected = TorchEngine(model).infer(images, tilted).probability
    np.testing.assert_allclose(engine.infer(images, tilted).probability, expected, atol=1e-4)
    assert len(list(cache.folder.iterdir())) == 1


@pytest.mark.parametrize("backend", GRAPHS)
@pytest.mark.parametrize("in_advance", [False, True], ids=["with the images", "in advance"])
def test_more_overlap_builds_a_larger_engine(
    model, images, taps, cache, backend, caplog, in_advance
):
    engine = make_engine(model, backend=backend, cache=cache, **CPU)
    before = engine.infer(images, taps).probability
    wide = build_tap_table(rig_of(4, 170.0), CONFIG)
    expected = TorchEngine(model).infer(images, wide).probability
    if in_advance:
        make_room(engine, wide)
        np.testing.assert_array_equal(engine.infer(images, taps).probability, before)
        assert len(list(cache.folder.iterdir())) == 2
        caplog.clear()
    with caplog.at_level(logging.INFO):
        found = engine.infer(images, wide).probability
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert "the rig needs another engine" in caplog.text
    assert ("building" in caplog.text) == (not in_advance)


def test_auto_says_what_it_chose_and_why(model, caplog, monkeypatch, cache):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with caplog.at_level(logging.INFO):
        engine = make_engine(model, "cpu", "bf16", cache=cache)
    assert engine.backend == "cpu"
    assert "backend auto: PyTorch" in caplog.text
    assert "because backend openvino needs the package openvino" in caplog.text


@pytest.mark.skipif(bool(why_unavailable("openvino")), reason="openvino is missing")
@pytest.mark.parametrize(("precision", "error"), [("fp32", 1e-4), ("bf16", 0.1)])
def test_auto_takes_openvino_where_it_is_installed(
    model, images, taps, cache, caplog, precision, error
):
    with caplog.at_level(logging.INFO):
        engine = make_engine(model, "cpu", precision, cache=cache)
    assert (engine.backend, engine.precision) == ("openvino", precision)
    assert "backend auto: openvino" in caplog.text
    expected = TorchEngine(model).infer(images, taps).probability
    np.testing.assert_allclose(engine.infer(images, taps).probability, expected, atol=error)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("backend", ["tensorrt", "cuda"])
def test_backends_of_absent_devices_are_refused(model, backend):
    with pytest.raises(EngineError, match="sees 0 CUDA devices here; use device cpu"):
        make_engine(model, backend=backend)
    assert "CUDA" in why_unavailable(backend)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backend": "tpu"}, "'tpu', expected one of auto, tensorrt"),
        ({"backend": "tensorrt", "device": "cpu"}, "runs on CUDA devices, not on cpu"),
        ({"backend": "cuda", "device": "cpu"}, "runs on CUDA devices, not on cpu"),
        ({"backend": "openvino", "precision": "fp16"}, "fp32 and bf16, not in fp16"),
        ({"backend": "onnx", "precision": "bf16"}, "fp32 on a CPU, not in bf16"),
        ({"backend": "openvino", "precision": "int4"}, "'int4', expected one of auto"),
    ],
)
def test_what_does_not_go_together_is_refused(model, arguments, message):
    for library in ("openvino", "onnxruntime"):
        pytest.importorskip(library)
    with pytest.raises(EngineError, match=message):
        make_engine(model, **arguments)


@pytest.mark.parametrize("backend", GRAPHS)
def test_wrong_images_are_refused(model, images, taps, cache, backend):
    engine = make_engine(model, backend=backend, cache=cache, **CPU)
    with pytest.raises(EngineError, match=r"uint8 .*float32"):
        engine.infer(images.astype(np.float32), taps)
    with pytest.raises(EngineError, match="3 images, but the tap table is for 4"):
        engine.infer(images[:3], taps)


def test_every_backend_is_explained():
    assert all(BACKENDS.values())
    assert not why_unavailable("cpu")
