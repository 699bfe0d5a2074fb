# SPDX-License-Identifier: Apache-2.0
"""Exponential moving averages of weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


@torch.no_grad()
def move_average(
    averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int, decay: float
) -> None:
    """Moves averages, in place, towards the current values.

    The decay starts low, (1 + n) / (10 + n) after n steps, so that random first weights
    are soon forgotten. All tensors at once: some hundred small ones took longer.

    Args:
        averaged, current: tensors of one type.
        count: n.
        decay: per step, reached after about 10 / (1 - decay) steps.
    """
    steps = int(count)
    decay = min(decay, (1.0 + steps) / (10.0 + steps))
    if averaged[0].is_floating_point():
        torch._foreach_lerp_(list(averaged), list(current), 1.0 - decay)
    else:
        torch._foreach_copy_(list(averaged), list(current))
