# SPDX-License-Identifier: Apache-2.0
"""What the tests of this room share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # frame_streams, small_network

from small_network import CONFIG

from bev_perception.inference import TorchEngine
from bev_perception.model import Segnet


@pytest.fixture(scope="session")
def engine() -> TorchEngine:
    """The small network with random weights."""
    torch.manual_seed(0)
    return TorchEngine(Segnet(CONFIG))
