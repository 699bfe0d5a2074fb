# SPDX-License-Identifier: Apache-2.0
"""Where memory runs out, another engine takes over, once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_samples import CONFIG, CPU, GRAPHS

from bev_perception.inference import (
    EngineMemoryError,
    TorchEngine,
    loading,
    make_engine,
)
from bev_perception.inference.fallback import FallbackEngine
from bev_perception.model import TapTable


class Exhausted:
    """An engine whose device is always full."""

    config, backend, device, precision = CONFIG, "cuda", "cuda:0", "bf16"
    takes_raw_images = False

    def infer(self, images: np.ndarray, taps: TapTable, resize=None):
        raise EngineMemoryError("cuda:0 has too little memory")

    def warm_up(self, num_cameras: int) -> None:
        raise EngineMemoryError("cuda:0 has too little memory")


def out_of_memory(images):
    raise torch.OutOfMemoryError("CUDA out of memory")


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


@pytest.mark.parametrize("backend", GRAPHS)
@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_short_memory_in_a_library_is_said(
    model, images, taps, cache, backend, error, monkeypatch, caplog
):
    engine = make_engine(model, backend=backend, cache=cache, **CPU)
    engine.infer(images, taps)

    def run(inputs):
        raise error

    monkeypatch.setattr(engine._runner, "run", run)
    with pytest.raises(EngineMemoryError, match=f"too little memory .* backend {backend}"):
        engine.infer(images, taps)
    fallback = FallbackEngine(engine, lambda: TorchEngine(model), "PyTorch")
    assert fallback.infer(images, taps).probability.shape == CONFIG.grid.shape
    assert "PyTorch takes over" in caplog.text


def test_from_a_library_on_a_gpu_pytorch_takes_over_and_then_the_cpu(
    model, images, taps, caplog, monkeypatch
):
    """The GPU's PyTorch is played by one that is full for every number of cameras."""
    full = TorchEngine(model)
    monkeypatch.setattr(full._network, "encode", out_of_memory)
    monkeypatch.setattr(loading, "TorchEngine", lambda *arguments: full)
    monkeypatch.setattr(loading, "make_engine", lambda *arguments: TorchEngine(model))
    on_gpu = Exhausted()
    monkeypatch.setattr(on_gpu, "backend", "tensorrt", raising=False)
    engine = loading._with_cpu(on_gpu, model, None)
    expected = TorchEngine(model).infer(images, taps).probability
    np.testing.assert_array_equal(engine.infer(images, taps).probability, expected)
    said = [
        "PyTorch on cuda:0 takes over",
        "going on with 2 at a time",
        "going on with 1 at a time",
        "the CPU takes over",
    ]
    positions = [caplog.text.index(text) for text in said]
    assert positions == sorted(positions)


def test_there_is_one_fallback_alone(images, taps):
    engine = FallbackEngine(Exhausted(), Exhausted)
    for _ in range(2):
        with pytest.raises(EngineMemoryError):
            engine.infer(images, taps)
