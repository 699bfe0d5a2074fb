# SPDX-License-Identifier: Apache-2.0
"""The lift's GPU kernel against PyTorch, run by Triton's interpreter where there is no GPU."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec

import pytest
import torch
from segnet_samples import ring_rig, small_config

from bev_perception.geometry import BevGrid
from bev_perception.model import GatherTable, build_tap_table
from bev_perception.model.lift import gather

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

if find_spec("triton") is None:
    pytest.skip("triton is not installed", allow_module_level=True)
if DEVICE == "cpu":
    if "triton" in sys.modules:
        pytest.skip("triton was imported as a compiler; run this file alone", True)
    os.environ["TRITON_INTERPRET"] = "1"

triton_gather = import_module("bev_perception.model.triton_gather").triton_gather


@pytest.mark.parametrize("channels", [1, 5, 32])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_equals_pytorch(channels, dtype):
    """Voxels that none, one or several cameras see; 45 of them end in a part of a block."""
    config = small_config(image_size=(16, 32), grid=BevGrid(-4.0, -4.5, 1.0, 8, 9))
    table = build_tap_table(ring_rig(config.image_size, count=6, horizontal_deg=110.0), config)
    taps = table.forward.offsets.diff()
    assert taps.min() == 0
    assert taps.max() > 4
    rows = torch.randn(table.num_cells, channels, generator=torch.Generator().manual_seed(0))
    expected = gather(rows, table.forward)
    found = triton_gather(rows.to(DEVICE, dtype), table.forward.to(DEVICE))
    assert found.dtype == dtype
    tolerance = 1e-5 if dtype == torch.float32 else 0.02 * float(expected.abs().max())
    assert (found.cpu().float() - expected).abs().max() < tolerance


def test_taps_beyond_the_last_voxel_count_nothing():
    """Tables of CUDA graphs have room to spare."""
    indices = torch.tensor([0, 1, 0, 0], dtype=torch.int32)
    offsets = torch.tensor([0, 1, 2], dtype=torch.int32)
    table = GatherTable(indices, offsets, torch.tensor([1.0, 2.0, 9.0, 9.0]))
    found = triton_gather(torch.tensor([[1.0], [10.0]], device=DEVICE), table.to(DEVICE))
    assert found.cpu().tolist() == [[1.0], [20.0]]
