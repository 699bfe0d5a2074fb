# SPDX-License-Identifier: Apache-2.0
"""Instance normalisation that keeps channels-last memory."""

from __future__ import annotations

from torch import nn


def instance_norm(channels: int) -> nn.Module:
    """Each channel of each sample to mean 0 and variance 1 over its cells; no parameters.

    Written as group normalisation with one channel per group, which is the same formula:
    torch's instance_norm copies channels-last tensors back and forth. It keeps no running
    statistics, so training and evaluation compute the same.
    """
    return nn.GroupNorm(channels, channels, affine=False)
