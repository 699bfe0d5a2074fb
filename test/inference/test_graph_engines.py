# SPDX-License-Identifier: Apache-2.0
"""Engines of other libraries: torch's numbers, kept engines, clear refusals."""

from __future__ import annotations

import json
import logging
import sys

import numpy as np
import pytest
import torch
from engine_samples import CONFIG, rig_of

from bev_perception.errors import EngineError
from bev_perception.inference import (
    BACKENDS,
    EngineMemoryError,
    TorchEngine,
    load_engine,
    make_engine,
    why_unavailable,
)
from bev_perception.inference.engine_cache import EngineCache
from bev_perception.inference.fallback import FallbackEngine
from bev_perception.model import Segnet, TapTable, build_tap_table, save_weights

GRAPHS = [
    pytest.param(
        "openvino", marks=pytest.mark.skipif(bool(why_unavailable("openvino")), reason="")
    ),
    pytest.param("onnx", marks=pytest.mark.skipif(bool(why_unavailable("onnx")), reason="")),
]
CPU = {"device": "cpu", "precision": "fp32"}


@pytest.fixture
def cache(tmp_path) -> EngineCache:
    return EngineCache(tmp_path / "engines")


@pytest.fixture
def stored(model, images, taps, cache):
    """An engine's file, just built."""
    backend = next((name for name in ("openvino", "onnx") if not why_unavailable(name)), None)
    if backend is None:
        pytest.skip("neither openvino nor onnxruntime is installed")
    make_engine(model, backend=backend, cache=cache, **CPU).infer(images, taps)
    (path,) = cache.folder.iterdir()
    return backend, path


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
def test_more_overlap_builds_a_larger_engine(model, images, taps, cache, backend, caplog):
    engine = make_engine(model, backend=backend, cache=cache, **CPU)
    engine.infer(images, taps)
    wide = build_tap_table(rig_of(4, 170.0), CONFIG)
    expected = TorchEngine(model).infer(images, wide).probability
    with caplog.at_level(logging.INFO):
        found = engine.infer(images, wide).probability
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert "the rig needs a larger engine" in caplog.text


@pytest.mark.parametrize("backend", GRAPHS)
def test_warming_up_leaves_an_engine_for_the_next_start(model, cache, backend, caplog):
    make_engine(model, backend=backend, cache=cache, **CPU).warm_up(4)
    caplog.clear()  # other tests may have turned the package's log on
    with caplog.at_level(logging.INFO):
        make_engine(model, backend=backend, cache=cache, **CPU).warm_up(4)
    assert "building" not in caplog.text


def test_another_number_of_cameras_builds_another_engine(model, images, taps, cache, stored):
    backend, _ = stored
    engine = make_engine(model, backend=backend, cache=cache, **CPU)
    engine.infer(images, taps)
    two = build_tap_table(rig_of(2), CONFIG)
    expected = TorchEngine(model).infer(images[:2], two).probability
    np.testing.assert_allclose(engine.infer(images[:2], two).probability, expected, atol=1e-4)


def with_another(path, part: str, value: str) -> None:
    line, _, engine = path.read_bytes().partition(b"\n")
    header = json.loads(line)
    header["key"][part] = value
    path.write_bytes(json.dumps(header).encode() + b"\n" + engine)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: with_another(path, "library", "openvino 1.0"), "another library"),
        (lambda path: with_another(path, "device", "Pentium"), "another device: 'Pentium'"),
        (lambda path: with_another(path, "model", "0" * 64), "another model"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1000]), "checksum does not fit"),
        (lambda path: path.write_bytes(b"nothing"), "the file is no engine"),
        (lambda path: path.write_bytes(b""), "the file is no engine"),
    ],
)
def test_an_engine_that_does_not_fit_is_built_again(
    model, images, taps, cache, stored, spoil, reason, caplog
):
    backend, path = stored
    spoil(path)
    engine = make_engine(model, backend=backend, cache=cache, **CPU)
    with caplog.at_level(logging.INFO):
        found = engine.infer(images, taps).probability
    assert reason in caplog.text
    np.testing.assert_allclose(found, TorchEngine(model).infer(images, taps).probability, atol=1e-4)
    caplog.clear()
    make_engine(model, backend=backend, cache=cache, **CPU).infer(images, taps)
    assert "building" not in caplog.text


def test_an_engine_that_the_library_refuses_is_built_again(
    model, images, taps, cache, stored, caplog
):
    backend, path = stored
    line, _, _ = path.read_bytes().partition(b"\n")
    key = json.loads(line)["key"]
    path.unlink()
    cache.fetch(path.stem, key, lambda: b"right key and checksum, but no engine")
    found = make_engine(model, backend=backend, cache=cache, **CPU).infer(images, taps)
    expected = TorchEngine(model).infer(images, taps)
    np.testing.assert_allclose(found.probability, expected.probability, atol=1e-4)
    assert "building it again" in caplog.text


def test_a_cache_that_cannot_be_written_costs_a_warning_alone(
    model, images, taps, stored, tmp_path, caplog
):
    backend, _ = stored
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    engine = make_engine(model, backend=backend, cache=EngineCache(blocked / "below"), **CPU)
    assert engine.infer(images, taps).probability.shape == CONFIG.grid.shape
    assert "BEV_PERCEPTION_CACHE" in caplog.text


def test_auto_says_what_it_chose_and_why(model, caplog, monkeypatch, cache):
    with caplog.at_level(logging.INFO):
        engine = make_engine(model, "cpu", "fp32", cache=cache)
    assert engine.backend == "cpu"
    assert "backend auto: PyTorch" in caplog.text
    assert "because OpenVINO is quicker in bf16 alone" in caplog.text
    caplog.clear()
    monkeypatch.setitem(sys.modules, "openvino", None)
    with caplog.at_level(logging.INFO):
        engine = make_engine(model, "cpu", "bf16", cache=cache)
    assert engine.backend == "cpu"
    assert "because backend openvino needs the package openvino" in caplog.text


@pytest.mark.skipif(bool(why_unavailable("openvino")), reason="openvino is missing")
def test_auto_takes_openvino_in_bf16(model, images, taps, cache):
    engine = make_engine(model, "cpu", "bf16", cache=cache)
    assert (engine.backend, engine.precision) == ("openvino", "bf16")
    expected = TorchEngine(model).infer(images, taps).probability
    np.testing.assert_allclose(engine.infer(images, taps).probability, expected, atol=0.1)


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


class Exhausted:
    """An engine whose device is always full."""

    config, backend, device, precision = CONFIG, "cuda", "cuda:0", "bf16"
    takes_raw_images = False

    def infer(self, images: np.ndarray, taps: TapTable, resize=None):
        raise EngineMemoryError("cuda:0 has too little memory")

    def warm_up(self, num_cameras: int) -> None:
        raise EngineMemoryError("cuda:0 has too little memory")


def test_the_cpu_takes_over_when_memory_runs_out(model, images, taps, caplog):
    engine = FallbackEngine(Exhausted(), lambda: TorchEngine(model))
    expected = TorchEngine(model).infer(images, taps).probability
    np.testing.assert_array_equal(engine.infer(images, taps).probability, expected)
    assert engine.device == "cpu"
    assert "too little memory; the CPU takes over" in caplog.text


def test_the_cpu_takes_over_while_warming_up(model):
    engine = FallbackEngine(Exhausted(), lambda: TorchEngine(model))
    engine.warm_up(2)
    assert engine.backend == "cpu"


def test_there_is_one_fallback_alone(images, taps):
    engine = FallbackEngine(Exhausted(), Exhausted)
    for _ in range(2):
        with pytest.raises(EngineMemoryError):
            engine.infer(images, taps)


def test_every_backend_is_explained():
    assert all(BACKENDS.values())
    assert not why_unavailable("cpu")


def test_weights_of_another_model_get_another_engine(images, taps, cache, stored, tmp_path):
    backend, _ = stored
    torch.manual_seed(7)
    path = tmp_path / "other.safetensors"
    other = Segnet(CONFIG).eval()
    save_weights(path, other)
    found = load_engine(path, backend=backend, cache=cache, **CPU).infer(images, taps)
    expected = TorchEngine(other).infer(images, taps)
    np.testing.assert_allclose(found.probability, expected.probability, atol=1e-4)
    assert len(list(cache.folder.iterdir())) == 2
