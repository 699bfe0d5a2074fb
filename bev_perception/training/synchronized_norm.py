# SPDX-License-Identifier: Apache-2.0
"""Batch norms over the batches of all processes, on hardware for which torch has none.

torch.nn.SyncBatchNorm needs a GPU. With this one, several processes on CPUs compute what one
process with all their samples would.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn


class SynchronizedBatchNorm(nn.BatchNorm2d):
    """Batch norm whose statistics are of all processes while it trains."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape and type."""
        if not self.training:
            return super().forward(input)
        values = input.float()
        count, mean, variance = _joint_statistics(values)
        self._follow(mean.detach().float(), (variance.detach() * count / (count - 1.0)).float())
        scale = (self.weight * torch.rsqrt(variance + self.eps)).float()
        shift = (self.bias - mean * scale).float()
        return (values * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)).to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Moves the running statistics towards those of this batch."""
        if self.running_mean is None or self.running_var is None:
            return
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        momentum = 0.1 if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


def _joint_statistics(values: Tensor) -> tuple[float, Tensor, Tensor]:
    """Cells per channel in all processes, their mean (C,) and biased variance (C,) in float64.

    Each process takes its own mean away before it squares, and the sums are joined in float64,
    so that no digits are lost.
    """
    own = values.numel() // values.shape[1]
    variance, mean = torch.var_mean(values, dim=(0, 2, 3), unbiased=False)
    mean, variance = mean.double(), variance.double()
    sums = torch.stack([torch.ones_like(mean), mean, variance + mean**2]) * own
    count, total, squares = _SumOverProcesses.apply(sums).unbind()
    joint = total / count
    return float(count[0].detach()), joint, squares / count - joint**2


class _SumOverProcesses(torch.autograd.Function):
    """All processes' tensors added up; each of them is part of every process's sum."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total


def synchronize_batch_norms(network: nn.Module, on_gpu: bool) -> nn.Module:
    """The network with its batch norms joined over all processes; same parameters and names.

    Changes the network in place; only what trains together with others needs it.
    """
    if on_gpu:
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for name, child in network.named_children():
        if isinstance(child, nn.BatchNorm2d):
            joined = SynchronizedBatchNorm(
                child.num_features, child.eps, child.momentum, child.affine
            )
            joined.load_state_dict(child.state_dict())
            setattr(network, name, joined)
        else:
            synchronize_batch_norms(child, on_gpu)
    return network
