# SPDX-License-Identifier: Apache-2.0
"""The terms of Segnet's loss and their learned weighting.

Source of every formula: Simple-BEV (Harley et al., "Simple-BEV: What Really Matters for
Multi-Sensor BEV Perception?", 2022); the weighting is that of Kendall, Gal and Cipolla,
"Multi-Task Learning Using Uncertainty to Weigh Losses", 2018, with w in place of log sigma^2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

POSITIVE_WEIGHT = 2.13
"""Factor on the occupied cells' share of the cross entropy."""


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """sum(values * mask) / sum(mask) of each sample, averaged over the samples.

    A sample with an empty mask counts 0. Per sample, so that the loss of a batch is the mean of
    the losses of its parts, and accumulated or distributed gradients are those of one large
    batch; with one sample per step, as the seed trains, it is the published masked mean.

    Args:
        values, mask: (B, ...), shapes broadcast equal.
    """
    weights = mask.to(values.dtype).expand_as(values)
    over = tuple(range(1, values.dim()))
    return ((values * weights).sum(over) / weights.sum(over).clamp(min=1.0)).mean()


def segmentation_loss(
    logits: Tensor, target: Tensor, valid: Tensor, positive_weight: float = POSITIVE_WEIGHT
) -> Tensor:
    """Masked binary cross entropy, scalar.

    mean over valid of  -(p * t * log s(z) + (1 - t) * log(1 - s(z)))  with logits z, target t,
    sigmoid s and positive weight p.

    Args:
        logits, target, valid: (B, 1, Y, X); target and valid hold 0 and 1.
    """
    weight = torch.as_tensor(positive_weight, dtype=torch.float32, device=logits.device)
    entropy = functional.binary_cross_entropy_with_logits(
        logits.float(), target.float(), pos_weight=weight, reduction="none"
    )
    return masked_mean(entropy, valid)


def center_loss(center: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Balanced mean squared error, scalar.

    (mean of (c - t)^2 where t > 0.5  +  mean of (c - t)^2 where t < 0.5) / 2: the few cells
    near a centre weigh as much as all the others.

    Args:
        center, target: (B, 1, Y, X) in 0 to 1.
        valid: (B, 1, Y, X), cells to count; all when None.
    """
    error = (center.float() - target.float()) ** 2
    counted = torch.ones_like(error) if valid is None else valid.to(error.dtype)
    near = masked_mean(error, (target > 0.5) * counted)
    far = masked_mean(error, (target < 0.5) * counted)
    return 0.5 * (near + far)


def offset_loss(offset: Tensor, target: Tensor, segmentation: Tensor, valid: Tensor) -> Tensor:
    """Masked L1, scalar, metres.

    mean over cells inside valid vehicles of  |ox - tx| + |oy - ty|.

    Args:
        offset, target: (B, 2, Y, X) metres.
        segmentation, valid: (B, 1, Y, X) of 0 and 1.
    """
    distance = (offset.float() - target.float()).abs().sum(dim=1, keepdim=True)
    return masked_mean(distance, segmentation * valid)


class UncertaintyWeighting(nn.Module):
    """Learned balance of the three terms.

    total = 10 exp(-w1) segmentation + 0.5 exp(-w2) center + 0.5 exp(-w3) offset
            + 0.5 (w1 + w2 + w3)

    with learned w, 0 at first. Each w settles where its weighted term equals 0.5, so the total
    may become negative.
    """

    FACTORS = (10.0, 0.5, 0.5)

    def __init__(self) -> None:
        super().__init__()
        self.log_variances = nn.Parameter(torch.zeros(3))

    def forward(self, segmentation: Tensor, center: Tensor, offset: Tensor) -> Tensor:
        """The total of three scalar terms."""
        terms = torch.stack([segmentation, center, offset])
        factors = terms.new_tensor(self.FACTORS)
        weighted = factors * torch.exp(-self.log_variances) * terms
        return weighted.sum() + 0.5 * self.log_variances.sum()
