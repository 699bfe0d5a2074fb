# SPDX-License-Identifier: Apache-2.0
"""Averages, and the time that steps wait for their batches, worked out by hand."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from bev_perception.training import callbacks
from bev_perception.training.averaging import move_average
from bev_perception.training.callbacks import LoadingTime


def test_averaged_weights_forget_the_first_ones_and_then_follow_slowly():
    decay = 0.7
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    averaged = AveragedModel(
        model, multi_avg_fn=partial(move_average, decay=decay), use_buffers=True
    )
    expected, history = None, torch.Generator().manual_seed(5)
    for step in range(40):
        value = torch.rand((), generator=history).item()
        for parameter in model.parameters():
            nn.init.constant_(parameter, value)
        model[1].running_mean.fill_(2.0 * value)
        model[1].num_batches_tracked.fill_(step)
        averaged.update_parameters(model)
        kept = min(decay, (1 + step) / (10 + step))
        expected = value if expected is None else kept * expected + (1 - kept) * value
    for tensor in averaged.module.parameters():
        torch.testing.assert_close(tensor, torch.full_like(tensor, expected))
    norm = averaged.module[1]
    torch.testing.assert_close(norm.running_mean, torch.full((3,), 2.0 * expected))
    assert norm.num_batches_tracked == 39


def test_the_share_of_loading_counts_neither_the_first_batch_nor_validation(monkeypatch):
    now = iter([10.0, 14.0, 15.0, 18.0, 40.0, 41.0])
    monkeypatch.setattr(callbacks.time, "perf_counter", lambda: next(now))
    loading = LoadingTime()
    loading.has_come()  # at 10
    loading.is_done()  # 4 s of work
    loading.has_come()  # after 1 s of waiting
    loading.is_done()  # 3 s of work
    loading.pauses()
    loading.has_come()  # at 40, after a validation
    loading.is_done()  # 1 s of work
    assert loading.share == pytest.approx(1 / 9)
