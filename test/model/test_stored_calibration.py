# SPDX-License-Identifier: Apache-2.0
"""A calibration beside weights is folded in where they are run or exported, and only there."""

from __future__ import annotations

import pytest
import torch
from tiny_network import CONFIG

from bev_perception.errors import WeightsError
from bev_perception.inference import TorchEngine, load_engine
from bev_perception.inference.engine import any_table
from bev_perception.model import Segnet, load_calibrated, load_weights, save_weights

TEMPERATURE, BIAS = 1.7, -0.6


@pytest.fixture
def model():
    torch.manual_seed(2)
    return Segnet(CONFIG).eval()


def saved(path, model, calibration):
    save_weights(path, model, {"calibration": calibration} if calibration else {})
    return path


def logits(model):
    torch.manual_seed(3)
    images = torch.randint(0, 256, (1, 2, 3, *CONFIG.image_size), dtype=torch.uint8)
    with torch.inference_mode():
        return model(images, any_table(CONFIG, 2))


def test_logits_are_shifted_and_divided_and_nothing_else_changes(model, tmp_path):
    path = saved(tmp_path / "w.safetensors", model, {"temperature": TEMPERATURE, "bias": BIAS})
    before, after = logits(model), logits(load_calibrated(path)[0])
    expected = (before.segmentation + BIAS) / TEMPERATURE
    torch.testing.assert_close(after.segmentation, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(after.center, before.center)
    torch.testing.assert_close(after.offset, before.offset)
    raw, metadata = load_weights(path)
    torch.testing.assert_close(logits(raw).segmentation, before.segmentation)
    assert metadata["calibration"]["temperature"] == TEMPERATURE


def test_a_temperature_alone_moves_no_cell_across_one_half(model, tmp_path):
    path = saved(tmp_path / "w.safetensors", model, {"temperature": TEMPERATURE})
    before, after = logits(model), logits(load_calibrated(path)[0])
    assert torch.equal(before.segmentation > 0, after.segmentation > 0)


def test_the_engine_applies_it(model, tmp_path):
    path = saved(tmp_path / "w.safetensors", model, {"temperature": TEMPERATURE, "bias": BIAS})
    torch.manual_seed(3)
    images = torch.randint(0, 256, (2, *CONFIG.image_size, 3), dtype=torch.uint8).numpy()
    taps = any_table(CONFIG, 2)
    raw = TorchEngine(model, "cpu", "fp32").infer(images, taps)
    found = load_engine(path, "cpu", "fp32", "cpu").infer(images, taps)
    expected = (torch.from_numpy(raw.probability).logit() + BIAS) / TEMPERATURE
    torch.testing.assert_close(
        torch.from_numpy(found.probability), expected.sigmoid(), rtol=1e-3, atol=1e-5
    )


def test_weights_without_a_calibration_are_as_they_were(model, tmp_path):
    path = saved(tmp_path / "w.safetensors", model, None)
    assert torch.equal(logits(load_calibrated(path)[0]).segmentation, logits(model).segmentation)


@pytest.mark.parametrize(
    "calibration",
    [
        {"temperature": 0.0},
        {"temperature": "warm"},
        {"bias": 1.0},
        {"temperature": 1.0, "bias": "a"},
        3,
    ],
)
def test_an_impossible_calibration_is_refused(calibration, model, tmp_path):
    path = saved(tmp_path / "w.safetensors", model, calibration)
    with pytest.raises(WeightsError, match="positive temperature and a finite bias"):
        load_calibrated(path)
