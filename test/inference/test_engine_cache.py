# SPDX-License-Identifier: Apache-2.0
"""Engines that are kept, and those that are built anew because they do not fit."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_samples import CONFIG, CPU, GRAPHS, rig_of

from bev_perception.inference import (
    TorchEngine,
    load_engine,
    make_engine,
    why_unavailable,
)
from bev_perception.inference.engine_cache import EngineCache
from bev_perception.model import Segnet, build_tap_table, save_weights


@pytest.fixture(scope="module")
def built(model, images, taps, tmp_path_factory):
    """(backend, file) of an engine."""
    backend = next((name for name in ("openvino", "onnx") if not why_unavailable(name)), None)
    if backend is None:
        pytest.skip("neither openvino nor onnxruntime is installed")
    cache = EngineCache(tmp_path_factory.mktemp("built"))
    make_engine(model, backend=backend, cache=cache, **CPU).infer(images, taps)
    (path,) = cache.folder.iterdir()
    return backend, path


@pytest.fixture
def stored(built, cache):
    """(backend, file) of the engine in the test's own cache."""
    backend, path = built
    cache.folder.mkdir()
    return backend, Path(shutil.copy(path, cache.folder))


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
        (lambda path: path.write_bytes(path.read_bytes()[:-10]), "checksum does not fit"),
        (lambda path: path.write_bytes(b"nothing"), "the file is no engine"),
        (lambda path: path.write_bytes(b""), "the file is no engine"),
    ],
    ids=["library", "device", "model", "cut off", "other content", "empty"],
)
def test_what_does_not_fit_is_not_taken_and_the_log_says_why(cache, spoil, reason, caplog):
    key = {"library": "openvino 2.0", "device": "CPU", "model": "1" * 64}
    assert cache.fetch("name", key, lambda: b"a first engine") == b"a first engine"
    assert cache.holds("name", key)
    spoil(cache.path("name"))
    assert not cache.holds("name", key)
    with caplog.at_level(logging.INFO):
        assert cache.fetch("name", key, lambda: b"a second engine") == b"a second engine"
    assert reason in caplog.text
    assert cache.fetch("name", key, lambda: b"a third engine") == b"a second engine"


def test_an_engine_that_does_not_fit_is_built_again(model, images, taps, cache, stored, caplog):
    backend, path = stored
    with_another(path, "library", "openvino 1.0")
    engine = make_engine(model, backend=backend, cache=cache, **CPU)
    with caplog.at_level(logging.INFO):
        found = engine.infer(images, taps).probability
    assert "another library" in caplog.text
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
