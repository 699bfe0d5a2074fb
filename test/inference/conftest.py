# SPDX-License-Identifier: Apache-2.0
"""What the tests of engines share."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # engine_samples

from engine_samples import CONFIG, rig_of

from bev_perception.inference.engine_cache import EngineCache
from bev_perception.model import Segnet, TapTable, build_tap_table


@pytest.fixture(scope="session")
def model() -> Segnet:
    """A model whose batch norms have statistics and parameters worth folding."""
    torch.manual_seed(0)
    model = Segnet(CONFIG).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, std=0.3)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.3)
    return model


@pytest.fixture(scope="session")
def taps() -> TapTable:
    return build_tap_table(rig_of(4), CONFIG)


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, 32, 48, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def expected(model, taps, images):
    with torch.no_grad():
        return model(torch.from_numpy(images).permute(0, 3, 1, 2)[None], taps)


@pytest.fixture
def cache(tmp_path) -> EngineCache:
    """Empty."""
    return EngineCache(tmp_path / "engines")
