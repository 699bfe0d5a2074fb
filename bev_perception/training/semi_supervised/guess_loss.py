# SPDX-License-Identifier: Apache-2.0
"""How wrong the student is about what the teacher guesses."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from bev_perception.model import SegnetOutput
from bev_perception.training.loss_config import LossConfig
from bev_perception.training.losses import (
    UncertaintyWeighting,
    center_term,
    masked_mean,
    offset_term,
)
from bev_perception.training.semi_supervised.labels import TaughtCells


def guess_loss(
    output: SegnetOutput,
    guess: TaughtCells,
    weighting: UncertaintyWeighting,
    config: LossConfig,
    squared: bool = False,
    positive_weight: float | Tensor = 1.0,
) -> Tensor:
    """Terms of segmentation, centre and offset in the balance that labels have found, scalar.

    The balance is not learned from guesses: a student that agrees with its teacher would else
    make guesses ever more important.

    Args:
        output: of the student.
        guess: for the same moments.
        weighting: of the labelled terms.
        config: which losses those are; the balance holds for no others.
        squared: mean squared error of probabilities (MixMatch), else cross entropy.
        positive_weight: factor on the occupied cells' share of either error, one for all moments
            or (B, 1, 1, 1); that of the labelled loss for what is 0 or 1, labels included, 1 for
            a teacher's probabilities, which have it already.
    """
    logits, wanted = output.segmentation.float(), guess.segmentation
    weight = torch.as_tensor(positive_weight, dtype=logits.dtype, device=logits.device)
    if squared:
        cells = torch.lerp(torch.ones_like(wanted), weight, wanted)
        cells = cells * (logits.sigmoid() - wanted) ** 2
    else:
        cells = functional.binary_cross_entropy_with_logits(
            logits, wanted, pos_weight=weight, reduction="none"
        )
    masked = replace(config, mask_center=True)
    terms = torch.stack(
        [
            config.cross_entropy * masked_mean(cells, guess.valid),
            center_term(output.center, guess.center, guess.valid, masked),
            offset_term(output.offset, guess.offset, guess.occupied, guess.valid, config),
        ]
    )
    balance = terms.new_tensor(weighting.factors) * torch.exp(-weighting.log_variances.detach())
    return (balance * terms).sum()
