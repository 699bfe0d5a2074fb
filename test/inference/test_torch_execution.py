# SPDX-License-Identifier: Apache-2.0
"""CUDA graphs, compiling, own kernels and short memory, as far as a machine without a GPU goes.

What only a GPU does (recording a graph, running out of memory, Triton's compiler) is replaced at
the one call that does it.
"""

from __future__ import annotations

import logging
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from engine_samples import CONFIG, rig_of

from bev_perception.errors import EngineError
from bev_perception.inference import EngineMemoryError, TorchEngine, compilation, load_engine
from bev_perception.inference.fallback import FallbackEngine
from bev_perception.inference.fused_lift import KERNEL, use_fused_lift, why_not_fused
from bev_perception.inference.torch_execution import GraphExecution
from bev_perception.model import build_tap_table, save_weights
from bev_perception.model.inference_form import InferenceSegnet
from bev_perception.model.lift import gather

CPU = torch.device("cpu")


class Recorder:
    """Runs again what it was given, reading the same memory, as a CUDA graph does."""

    def __init__(self) -> None:
        self.recordings = self.replays = 0

    def __call__(self, run):
        self.recordings += 1
        maps = run().clone()

        def replay() -> None:
            self.replays += 1
            maps.copy_(run())

        return replay, maps


def with_graph(model, capture) -> TorchEngine:
    engine = TorchEngine(model)
    engine._execution = GraphExecution(engine._eager, capture)
    return engine


def test_a_graph_follows_images_and_tables(model, images, taps):
    """Tables that are shorter than the recorded one leave nothing of it behind."""
    recorder = Recorder()
    engine, plain = with_graph(model, recorder), TorchEngine(model)
    fewer = build_tap_table(rig_of(4), CONFIG, (True, False, True, True))
    for moment, table in ((images, taps), (255 - images, taps), (images, fewer), (images, taps)):
        found, expected = engine.infer(moment, table), plain.infer(moment, table)
        np.testing.assert_allclose(found.probability, expected.probability, atol=1e-6)
        np.testing.assert_allclose(found.offset, expected.offset, atol=1e-5)
    assert recorder.recordings == 1
    assert recorder.replays == 4


def test_a_graph_without_room_is_recorded_anew(model, images, taps):
    recorder = Recorder()
    engine, plain = with_graph(model, recorder), TorchEngine(model)
    wide, two = build_tap_table(rig_of(4, 170.0), CONFIG), build_tap_table(rig_of(2), CONFIG)
    for moment, table in ((images, taps), (images, wide), (images[:2], two), (images[:2], two)):
        found = engine.infer(moment, table).center
        np.testing.assert_allclose(found, plain.infer(moment, table).center, atol=1e-6)
    assert recorder.recordings == 3


def failing(run):
    raise RuntimeError("operation not permitted when stream is capturing\nand more")


def wrong(run):
    return (lambda: None), torch.zeros_like(run())


@pytest.mark.parametrize(
    ("capture", "reason"), [(failing, "not permitted when"), (wrong, "its maps differ by")]
)
def test_where_graphs_do_not_work_operators_run_one_by_one(
    model, images, taps, capture, reason, caplog
):
    engine = with_graph(model, capture)
    expected = TorchEngine(model).infer(images, taps).probability
    for _ in range(2):
        np.testing.assert_array_equal(engine.infer(images, taps).probability, expected)
    assert caplog.text.count("operators run one by one") == 1
    assert reason in caplog.text


def out_of_memory_beyond(engine: TorchEngine, cameras: int) -> list[int]:
    """Lets the encoder fail for more images than that; the list gets what it was asked for."""
    encode, asked = engine._network.encode, []

    def limited(images):
        asked.append(len(images))
        if len(images) > cameras:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return encode(images)

    engine._network.encode = limited
    return asked


def test_with_too_little_memory_fewer_cameras_go_at_a_time(model, images, taps, caplog):
    engine = TorchEngine(model)
    asked = out_of_memory_beyond(engine, 1)
    expected = TorchEngine(model).infer(images, taps)
    for _ in range(2):
        found = engine.infer(images, taps)
        np.testing.assert_allclose(found.probability, expected.probability, atol=1e-6)
    assert asked == [4, 2, 1, 1, 1, 1, 1, 1, 1, 1]
    assert "too little memory for 4 cameras at a time; going on with 2 at a time" in caplog.text
    assert engine.camera_batch == 1


@pytest.mark.parametrize("camera_batch", [1, 3, 9])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_camera_batch_changes_no_answer(model, images, taps, camera_batch, precision):
    engine = TorchEngine(model, precision=precision, camera_batch=camera_batch)
    asked = out_of_memory_beyond(engine, camera_batch)
    expected = TorchEngine(model, precision=precision).infer(images, taps)
    found = engine.infer(images, taps)
    tolerance = 1e-6 if precision == "fp32" else 0.02
    np.testing.assert_allclose(found.probability, expected.probability, atol=tolerance)
    assert sum(asked) == 4
    assert max(asked) == min(camera_batch, 4)


def test_a_camera_batch_that_was_asked_for_stays(model, images, taps):
    engine = TorchEngine(model, camera_batch=2)
    out_of_memory_beyond(engine, 1)
    with pytest.raises(EngineMemoryError, match=r"2 at a time: CUDA out of memory.*camera_batch 0"):
        engine.infer(images, taps)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        MemoryError(),
    ],
)
def test_after_the_last_camera_the_cpu_takes_over(model, images, taps, caplog, error):
    engine = TorchEngine(model)

    def full(images):
        raise error

    engine._network.encode = full
    with pytest.raises(EngineMemoryError, match="1 at a time"):
        engine.infer(images, taps)
    chain = FallbackEngine(engine, lambda: TorchEngine(model))
    expected = TorchEngine(model).infer(images, taps).probability
    np.testing.assert_array_equal(chain.infer(images, taps).probability, expected)
    assert "the CPU takes over" in caplog.text


def test_other_errors_stay_what_they_are(model, images, taps):
    engine = TorchEngine(model)

    def broken(images):
        raise RuntimeError("a defect")

    engine._network.encode = broken
    with pytest.raises(RuntimeError, match="a defect"):
        engine.infer(images, taps)


def with_kernel(monkeypatch, kernel) -> None:
    monkeypatch.setitem(sys.modules, KERNEL, SimpleNamespace(triton_gather=kernel))


def test_an_own_kernel_is_used_where_it_agrees_and_is_quicker(model, monkeypatch, caplog):
    network, answers = InferenceSegnet(model), []

    def kernel(rows, table):
        """Right at first, and quick from then on."""
        answers.append(gather(rows, table) if not answers else answers[0])
        return answers[0]

    with_kernel(monkeypatch, kernel)
    with caplog.at_level(logging.INFO):
        use_fused_lift(network, CPU)
    assert network.gather is kernel
    assert "the lift runs as a Triton kernel" in caplog.text


def broken_kernel(rows, table):
    raise RuntimeError("ptxas failed")


def slow_kernel(rows, table):
    return sum(gather(rows, table) for _ in range(20)) / 20


@pytest.mark.parametrize(
    ("kernel", "reason"),
    [
        (lambda rows, table: 2 * gather(rows, table), "answers differ by"),
        (broken_kernel, "does not work: RuntimeError: ptxas failed"),
        (slow_kernel, "is slower"),
    ],
)
def test_an_own_kernel_is_left_out_with_a_reason(model, monkeypatch, kernel, reason, caplog):
    network = InferenceSegnet(model)
    with_kernel(monkeypatch, kernel)
    with caplog.at_level(logging.INFO):
        use_fused_lift(network, CPU)
    assert network.gather is gather
    assert reason in caplog.text


def test_without_triton_the_lift_stays(model, monkeypatch):
    monkeypatch.setitem(sys.modules, KERNEL, None)
    assert "Triton is not installed" in why_not_fused(InferenceSegnet(model), CPU)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++")
def test_a_compiled_network_is_the_same_function(model, images, taps, caplog):
    engine = TorchEngine(model, mode="compile")
    expected = TorchEngine(model).infer(images, taps)
    found = engine.infer(images, taps)
    np.testing.assert_allclose(found.probability, expected.probability, atol=1e-5)
    np.testing.assert_allclose(found.offset, expected.offset, atol=1e-4)
    assert "is not compiled" not in caplog.text


def test_what_cannot_be_compiled_runs_as_it_is(model, images, taps, monkeypatch, caplog):
    def uncompiled(function, **options):
        def fails(argument):
            raise RuntimeError("no C++ compiler found")

        return fails

    monkeypatch.setattr(compilation.torch, "compile", uncompiled)
    engine = TorchEngine(model, mode="compile")
    expected = TorchEngine(model).infer(images, taps).probability
    for _ in range(2):
        found = engine.infer(images, taps).probability
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert caplog.text.count("encode on cpu is not compiled and runs as it is: no C++") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "jit"}, "unknown mode 'jit' of PyTorch, expected one of auto, eager"),
        ({"mode": "graph"}, "mode graph records CUDA graphs, and the network runs on cpu"),
        ({"camera_batch": -1}, "camera_batch must be 0 .* got -1"),
    ],
)
def test_impossible_choices_are_refused(model, arguments, message):
    with pytest.raises(EngineError, match=message):
        TorchEngine(model, **arguments)


def test_what_pytorch_alone_takes_is_refused_by_others(model, tmp_path, caplog):
    path = tmp_path / "model.safetensors"
    save_weights(path, model)
    with pytest.raises(EngineError, match="camera_batch and torch_mode are PyTorch's"):
        load_engine(path, "cpu", "fp32", "onnx", camera_batch=1)
    with caplog.at_level(logging.INFO):
        engine = load_engine(path, "cpu", "bf16", camera_batch=1)
    assert engine.backend == "cpu"
    assert "because camera_batch and torch_mode are PyTorch's" in caplog.text
