# SPDX-License-Identifier: Apache-2.0
"""What the processor is quick at decides what "auto" computes in, live and in training."""

from __future__ import annotations

import pytest
import torch

from bev_perception import processor
from bev_perception.inference.choice import chosen_precision
from bev_perception.training import TrainConfig
from bev_perception.training.trainer import precision_for


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu sse avx512_bf16 amx_bf16 amx_tile\n", True),
        ("processor\t: 0\nflags\t\t: fpu sse avx512f avx512_bf16\n", False),
        ("processor\t: 0\nFeatures\t: fp asimd bf16\n", False),
        (None, False),
    ],
)
def test_bf16_is_quick_where_there_are_matrix_units_for_it(text, expected, tmp_path):
    cpu_info = tmp_path / "cpuinfo"
    if text is not None:
        cpu_info.write_text(text)
    assert processor.is_quick_in_bf16(cpu_info) is expected


@pytest.mark.parametrize("quick", [False, True])
def test_auto_is_what_the_processor_is_quick_at(quick, monkeypatch):
    cpu = torch.device("cpu")
    config = TrainConfig(accelerator="cpu")
    monkeypatch.setattr(processor, "is_quick_in_bf16", lambda: quick)
    assert chosen_precision("auto", cpu) == ("bf16" if quick else "fp32")
    assert precision_for(config) == ("bf16-mixed" if quick else "32-true")
    assert chosen_precision("fp32", cpu) == "fp32"
