# SPDX-License-Identifier: Apache-2.0
"""The torch engine: same numbers as the model, and clear refusals."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from engine_samples import CONFIG, rig_of

from bev_perception.errors import EngineError
from bev_perception.geometry import BevGrid
from bev_perception.inference import TorchEngine, load_engine
from bev_perception.inference.choice import chosen_precision
from bev_perception.model import SegnetConfig, TapTable, build_tap_table, save_weights


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("fp32", 1e-4), ("bf16", 0.1), ("fp16", 0.02)]
)
def test_equals_the_model(model, taps, images, expected, precision, tolerance):
    output = TorchEngine(model, precision=precision).infer(images, taps)
    probability = expected.segmentation[0, 0].sigmoid().numpy()
    np.testing.assert_allclose(output.probability, probability, atol=tolerance)
    np.testing.assert_allclose(output.center, expected.center[0, 0].numpy(), atol=tolerance)
    np.testing.assert_allclose(output.offset, expected.offset[0].numpy(), atol=4 * tolerance)
    assert output.probability.shape == (21, 18)
    assert output.offset.shape == (2, 21, 18)
    for array in (output.probability, output.center, output.offset):
        assert array.dtype == np.float32


def test_leaves_the_model_as_it_is(model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    TorchEngine(model, precision="bf16")
    assert {name: tensor.dtype for name, tensor in model.state_dict().items()} == {
        name: tensor.dtype for name, tensor in before.items()
    }
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())


def test_loads_from_weights(model, taps, images, tmp_path):
    path = tmp_path / "model.safetensors"
    save_weights(path, model)
    engine = load_engine(path, precision="fp32", backend="cpu")
    assert engine.config == CONFIG
    direct = TorchEngine(model).infer(images, taps)
    np.testing.assert_array_equal(engine.infer(images, taps).probability, direct.probability)


def test_what_was_chosen_can_be_read(model, tmp_path):
    path = tmp_path / "model.safetensors"
    save_weights(path, model)
    engine = load_engine(path, backend="cuda" if torch.cuda.is_available() else "cpu")
    assert engine.device == ("cuda" if torch.cuda.is_available() else "cpu")
    assert engine.precision == chosen_precision("auto", torch.device(engine.device))
    assert TorchEngine(model, precision="bf16").precision == "bf16"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_another_thread_gets_the_same_numbers(model, taps, images, precision):
    engine = TorchEngine(model, precision=precision)
    here = engine.infer(images, taps)
    with ThreadPoolExecutor(max_workers=1) as worker:
        there = worker.submit(engine.infer, images, taps).result()
    np.testing.assert_array_equal(there.probability, here.probability)
    np.testing.assert_array_equal(there.center, here.center)
    np.testing.assert_array_equal(there.offset, here.offset)


@pytest.mark.parametrize("num_cameras", [1, 4])
def test_warming_up_changes_no_result(model, taps, images, num_cameras):
    engine = TorchEngine(model)
    engine.warm_up(num_cameras)
    expected = TorchEngine(model).infer(images, taps)
    np.testing.assert_array_equal(engine.infer(images, taps).offset, expected.offset)


def test_images_that_are_not_contiguous_are_taken(model, taps, images):
    engine = TorchEngine(model)
    turned = np.ascontiguousarray(images[..., ::-1])[..., ::-1]
    direct = engine.infer(images, taps).center
    np.testing.assert_array_equal(engine.infer(turned, taps).center, direct)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images: images.astype(np.float32), "uint8 .*float32"),
        (lambda images: images.tolist(), "uint8 .*list"),
        (lambda images: images[:3], "3 images, but the tap table is for 4 cameras"),
        (lambda images: images[:, :16], r"\(S, 32, 48, 3\).*\(4, 16, 48, 3\)"),
        (lambda images: images.transpose(0, 3, 1, 2), r"\(4, 3, 32, 48\)"),
        (lambda images: images[0], r"\(32, 48, 3\)"),
    ],
)
def test_wrong_images_are_refused(model, taps, images, change, message):
    with pytest.raises(EngineError, match=message):
        TorchEngine(model).infer(change(images), taps)


def test_table_of_another_grid_is_refused(model, images):
    values = {**CONFIG.to_dict(), "grid": BevGrid(0.0, 0.0, 1.0, 9, 8).to_dict()}
    other = build_tap_table(rig_of(4), SegnetConfig.from_dict(values))
    with pytest.raises(EngineError, match=r"voxels of \(8, 9, 2\)"):
        TorchEngine(model).infer(images, other)


def test_batched_table_is_refused(model, taps, images):
    with pytest.raises(EngineError, match="2 rigs"):
        TorchEngine(model).infer(images, TapTable.batch([taps, taps]))


def test_absent_cuda_device_is_refused(model):
    device = f"cuda:{torch.cuda.device_count()}" if torch.cuda.is_available() else "cuda"
    with pytest.raises(EngineError, match=f"'{device}' is asked for, but torch .* sees"):
        TorchEngine(model, device=device)


@pytest.mark.parametrize("device", ["gpu7", "meta"])
def test_unknown_device_is_refused(model, device):
    with pytest.raises(EngineError, match=device):
        TorchEngine(model, device=device)


def test_unknown_precision_is_refused(model):
    with pytest.raises(EngineError, match="'int4', expected one of auto, fp32, bf16"):
        TorchEngine(model, precision="int4")
