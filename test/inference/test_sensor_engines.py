# SPDX-License-Identifier: Apache-2.0
"""PyTorch runs networks with a sensor as they are trained; other engines refuse them by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_samples import CONFIG, rig_of

from bev_perception.errors import EngineError
from bev_perception.inference import TorchEngine
from bev_perception.inference.engine import RawOutput
from bev_perception.inference.fallback import FallbackEngine
from bev_perception.model import LiftSettings, Segnet, build_lift_geometry
from bev_perception.model.feature_memory import FeatureMemory, MemoryStep
from bev_perception.model.memory_config import MemoryConfig
from bev_perception.model.sensor_map import cloud_map


def network(**changes: object) -> Segnet:
    torch.manual_seed(0)
    model = Segnet(replace(CONFIG, **{"sensor": "lidar", **changes})).eval()
    assert model.sensor_convolution is not None
    torch.nn.init.normal_(model.sensor_convolution.weight, std=0.5)
    return model


def a_cloud() -> np.ndarray:
    reach = CONFIG.grid.x_min
    return np.random.default_rng(0).uniform((reach, reach, -1.0), (-reach, -reach, 2.0), (400, 3))


def some_images() -> np.ndarray:
    shape = (4, *CONFIG.image_size, 3)
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


def asked(model: Segnet, engine: TorchEngine | FallbackEngine, cloud: np.ndarray) -> RawOutput:
    taps = build_lift_geometry(rig_of(4), model.config)
    step = None
    if model.config.memory.is_on:
        step = MemoryStep([FeatureMemory(model.config.memory)], (None,))
    return engine.infer(some_images(), taps, None, step, cloud_map(cloud, model.config))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"sensor": "radar"},
        {"lift": "attention", "lift_settings": LiftSettings(heads=2)},
        {"memory": MemoryConfig("gru", anchor_m=1.0)},
        {"mirrored_decoder": True},
    ],
    ids=["lidar", "radar", "attention", "memory", "mirrored"],
)
def test_the_engine_answers_what_the_network_does(changes: dict[str, object]) -> None:
    model = network(**changes)
    images = torch.from_numpy(some_images())[None].permute(0, 1, 4, 2, 3)
    taps = build_lift_geometry(rig_of(4), model.config)
    with torch.no_grad():
        expected = model(images, taps, sensor_map=cloud_map(a_cloud(), model.config))
    engine = TorchEngine(model, precision="fp32")
    engine.warm_up(4)
    found = asked(model, engine, a_cloud())
    np.testing.assert_allclose(found.probability, expected.occupancy[0, 0], atol=1e-4)
    without = asked(model, engine, np.zeros((0, 3)))
    assert np.abs(without.probability - found.probability).max() > 1e-3


def test_bf16_answers_nearly_the_same() -> None:
    model = network()
    exact = asked(model, TorchEngine(model, precision="fp32"), a_cloud())
    rounded = asked(model, TorchEngine(model, precision="bf16"), a_cloud())
    assert np.abs(exact.probability - rounded.probability).max() < 0.05


def test_no_map_is_the_map_of_an_empty_cloud() -> None:
    model = network()
    engine = FallbackEngine(TorchEngine(model, precision="fp32"), lambda: pytest.fail("fell back"))
    empty = asked(model, engine, np.zeros((0, 3)))
    missing = engine.infer(some_images(), build_lift_geometry(rig_of(4), model.config))
    np.testing.assert_array_equal(missing.probability, empty.probability)


def test_a_map_that_does_not_fit_is_refused() -> None:
    model, plain = network(), Segnet(CONFIG).eval()
    taps, measured = build_lift_geometry(rig_of(4), CONFIG), cloud_map(a_cloud(), model.config)
    with pytest.raises(EngineError, match="takes images alone"):
        TorchEngine(plain).infer(some_images(), taps, None, None, measured)
    with pytest.raises(EngineError, match=r"must have shape .*cloud_map"):
        TorchEngine(model).infer(some_images(), taps, None, None, measured[:, :1])
