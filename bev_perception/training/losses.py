# SPDX-License-Identifier: Apache-2.0
"""The terms of Segnet's loss and their weighting.

Sources: the seed's terms (cross entropy, balanced squared error, masked L1) are Simple-BEV's
(Harley et al., "Simple-BEV: What Really Matters for Multi-Sensor BEV Perception?", 2022); the
learned weighting is that of Kendall, Gal and Cipolla, "Multi-Task Learning Using Uncertainty to
Weigh Losses", 2018, with w in place of log sigma^2; focal: Lin et al., "Focal Loss for Dense
Object Detection", 2017; Dice: Milletari et al., "V-Net", 2016; IoU: Rahman and Wang,
"Optimizing Intersection-Over-Union in Deep Neural Networks", 2016.

Sums are taken in fp32 whatever the network computes in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from bev_perception.model import SegnetOutput
from bev_perception.training.loss_config import LossConfig

if TYPE_CHECKING:  # batches hold depths, whose loss is a masked mean
    from bev_perception.training.batch import CellLabels

SMOOTHING_CELLS = 1.0
"""Added to both parts of an overlap's quotient, so that empty truth and no prediction give 0."""


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
    logits: Tensor,
    target: Tensor,
    valid: Tensor,
    positive_weight: float = LossConfig.positive_weight,
) -> Tensor:
    """Masked binary cross entropy, scalar.

    mean over valid of  -(p * t * log s(z) + (1 - t) * log(1 - s(z)))  with logits z, target t,
    sigmoid s and positive weight p.

    Args:
        logits, target: (B, K, Y, X), target of 0 and 1.
        valid: (B, 1, Y, X) of 0 and 1.
    """
    weight = torch.as_tensor(positive_weight, dtype=torch.float32, device=logits.device)
    entropy = functional.binary_cross_entropy_with_logits(
        logits.float(), target.float(), pos_weight=weight, reduction="none"
    )
    return masked_mean(entropy, valid)


def focal_loss(
    logits: Tensor,
    target: Tensor,
    valid: Tensor,
    gamma: float = LossConfig.focal_gamma,
    alpha: float = LossConfig.focal_alpha,
) -> Tensor:
    """Masked focal loss, scalar: cells that are nearly right hardly count.

    mean over valid of  -a (1 - q)^gamma log q,  where q is the probability given to the truth
    and a is alpha in occupied cells, 1 - alpha in free ones. Arguments as segmentation_loss.
    """
    target = target.float()
    signed = logits.float() * (2.0 * target - 1.0)  # the truth's logit
    share = alpha * target + (1.0 - alpha) * (1.0 - target)
    losses = -share * torch.sigmoid(-signed) ** gamma * functional.logsigmoid(signed)
    return masked_mean(losses, valid)


def dice_loss(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """1 - Dice coefficient of probabilities, scalar.

    1 - (2 sum(p t) + 1) / (sum(p) + sum(t) + 1)  over the valid cells of each sample, mean
    over samples and classes. Arguments as segmentation_loss.
    """
    both, predicted, true = _overlap(logits, target, valid)
    ratio = (2.0 * both + SMOOTHING_CELLS) / (predicted + true + SMOOTHING_CELLS)
    return (1.0 - ratio).mean()


def iou_loss(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """1 - IoU of probabilities, scalar.

    1 - (sum(p t) + 1) / (sum(p) + sum(t) - sum(p t) + 1)  over the valid cells of each sample,
    mean over samples and classes. Arguments as segmentation_loss.
    """
    both, predicted, true = _overlap(logits, target, valid)
    ratio = (both + SMOOTHING_CELLS) / (predicted + true - both + SMOOTHING_CELLS)
    return (1.0 - ratio).mean()


def _overlap(logits: Tensor, target: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sums (B, K) over valid cells of probability times truth, of probability, and of truth."""
    probability = logits.float().sigmoid() * valid
    truth = target.float() * valid
    cells = (2, 3)
    return (probability * truth).sum(cells), probability.sum(cells), truth.sum(cells)


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


def squared_error(values: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean over the mask (B, 1, Y, X) of squared errors summed over channels, scalar."""
    error = (values.float() - target.float()) ** 2
    return masked_mean(error.sum(dim=1, keepdim=True), mask)


def smooth_l1(
    values: Tensor, target: Tensor, mask: Tensor, beta: float = LossConfig.smooth_l1_beta
) -> Tensor:
    """Mean over the mask (B, 1, Y, X) of smooth L1 summed over channels, scalar.

    e^2 / (2 beta) for errors e below beta, e - beta / 2 above.
    """
    error = functional.smooth_l1_loss(values.float(), target.float(), reduction="none", beta=beta)
    return masked_mean(error.sum(dim=1, keepdim=True), mask)


class UncertaintyWeighting(nn.Module):
    """Balance of the three terms.

    total = f1 exp(-w1) segmentation + f2 exp(-w2) center + f3 exp(-w3) offset
            + 0.5 (w1 + w2 + w3)

    with factors f and learned w, 0 at first. Each w settles where its weighted term equals 0.5, so
    the total may become negative.

    Args:
        factors: f.
        learned: False keeps every w at 0.
    """

    FACTORS = LossConfig().weights

    def __init__(self, factors: tuple[float, float, float] = FACTORS, learned: bool = True) -> None:
        super().__init__()
        self.factors = factors
        self.log_variances = nn.Parameter(torch.zeros(3), requires_grad=learned)

    def forward(self, segmentation: Tensor, center: Tensor, offset: Tensor) -> Tensor:
        """The total of three scalar terms."""
        terms = torch.stack([segmentation, center, offset])
        factors = terms.new_tensor(self.factors)
        weighted = factors * torch.exp(-self.log_variances) * terms
        return weighted.sum() + 0.5 * self.log_variances.sum()


def make_weighting(config: LossConfig) -> UncertaintyWeighting:
    """The balance that the configuration asks for."""
    return UncertaintyWeighting(config.weights, config.learned_weighting)


def segmentation_term(logits: Tensor, target: Tensor, valid: Tensor, config: LossConfig) -> Tensor:
    """The configured shares of cross entropy, focal, Dice and IoU loss, scalar."""
    losses: dict[str, Callable[[], Tensor]] = {
        "cross_entropy": lambda: segmentation_loss(logits, target, valid, config.positive_weight),
        "focal": lambda: focal_loss(logits, target, valid, config.focal_gamma, config.focal_alpha),
        "dice": lambda: dice_loss(logits, target, valid),
        "iou": lambda: iou_loss(logits, target, valid),
    }
    shares = config.segmentation_shares.items()
    return torch.stack([share * losses[name]() for name, share in shares if share > 0.0]).sum()


def center_term(center: Tensor, target: Tensor, valid: Tensor, config: LossConfig) -> Tensor:
    """The configured loss of the centre map, scalar."""
    counted = valid if config.mask_center else torch.ones_like(valid)
    if config.center == "balanced_mse":
        return center_loss(center, target, counted)
    if config.center == "mse":
        return squared_error(center, target, counted)
    return smooth_l1(center, target, counted, config.smooth_l1_beta)


def offset_term(
    offset: Tensor, target: Tensor, occupied: Tensor, valid: Tensor, config: LossConfig
) -> Tensor:
    """The configured loss of the offsets inside visible objects, scalar."""
    if config.offset == "l1":
        return offset_loss(offset, target, occupied, valid)
    if config.offset == "mse":
        return squared_error(offset, target, occupied * valid)
    return smooth_l1(offset, target, occupied * valid, config.smooth_l1_beta)


def total_losses(
    output: SegnetOutput,
    batch: CellLabels,
    config: LossConfig,
    weighting: UncertaintyWeighting,
    classes: Sequence[str] = (),
) -> dict[str, Tensor]:
    """The terms ``segmentation``, ``center`` and ``offset`` and their ``total``, scalars.

    Args:
        output: of the network.
        batch: the truth about the moments that it answered.
        config: which losses.
        weighting: see make_weighting.
        classes: names of the segmentation's channels; where there are several, the result
            also holds ``segmentation_<name>`` of each, detached.
    """
    valid = batch.valid
    segmentation = segmentation_term(output.segmentation, batch.segmentation, valid, config)
    center = center_term(output.center, batch.center, valid, config)
    offset = offset_term(output.offset, batch.offset, batch.occupied, valid, config)
    losses = {
        "segmentation": segmentation,
        "center": center,
        "offset": offset,
        "total": weighting(segmentation, center, offset),
    }
    if len(classes) > 1:
        for channel, name in enumerate(classes):
            part = slice(channel, channel + 1)
            logits, truth = output.segmentation[:, part], batch.segmentation[:, part]
            term = segmentation_term(logits.detach(), truth, valid, config)
            losses[f"segmentation_{name}"] = term
    return losses
