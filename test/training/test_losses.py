# SPDX-License-Identifier: Apache-2.0
"""Each loss term equals its formula worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from bev_perception.errors import ConfigurationError
from bev_perception.model import SegnetOutput
from bev_perception.training.batch import Batch
from bev_perception.training.loss_config import LossConfig
from bev_perception.training.losses import (
    UncertaintyWeighting,
    center_loss,
    center_term,
    dice_loss,
    focal_loss,
    iou_loss,
    make_weighting,
    masked_mean,
    offset_loss,
    offset_term,
    segmentation_loss,
    segmentation_term,
    total_losses,
)


def grid(*values):
    return torch.tensor(values).reshape(1, 1, 1, -1)


def test_segmentation_loss_weighs_occupied_cells_and_leaves_invalid_ones_out():
    logits, target, valid = grid(0.7, -1.2, 30.0), grid(1.0, 0.0, 0.0), grid(1.0, 1.0, 0.0)
    occupied = 2.13 * math.log(1 + math.exp(-0.7))
    free = math.log(1 + math.exp(-1.2))
    assert segmentation_loss(logits, target, valid).item() == pytest.approx((occupied + free) / 2)


def test_center_loss_balances_near_and_far_and_skips_exactly_one_half():
    center, target = grid(0.9, 0.1, 0.3, 0.0), grid(1.0, 0.0, 0.1, 0.5)
    near = (0.1**2) / 1
    far = (0.1**2 + 0.2**2) / 2
    assert center_loss(center, target).item() == pytest.approx((near + far) / 2, rel=1e-5)


def test_center_loss_without_any_object_counts_far_cells_alone():
    assert center_loss(grid(0.2, 0.4), grid(0.0, 0.0)).item() == pytest.approx(
        (0.04 + 0.16) / 2 / 2, rel=1e-5
    )


def test_center_loss_can_leave_cells_out():
    loss = center_loss(grid(0.2, 0.9), grid(0.0, 0.0), valid=grid(1.0, 0.0))
    assert loss.item() == pytest.approx(0.04 / 2, rel=1e-5)


def test_offset_loss_sums_both_axes_and_averages_over_cells_of_valid_vehicles():
    offset = torch.tensor([[1.0, 5.0, 9.0], [2.0, 5.0, 9.0]]).reshape(1, 2, 1, 3)
    target = torch.tensor([[0.5, 0.0, 0.0], [4.0, 0.0, 0.0]]).reshape(1, 2, 1, 3)
    loss = offset_loss(offset, target, grid(1.0, 1.0, 0.0), grid(1.0, 0.0, 1.0))
    assert loss.item() == pytest.approx(0.5 + 2.0)


def test_masked_mean_of_nothing_is_zero_and_has_no_gradient_trouble():
    values = torch.ones(1, 1, 1, 2, requires_grad=True)
    mean = masked_mean(values, torch.zeros(1, 1, 1, 2))
    mean.backward()
    assert mean.item() == 0.0
    assert (values.grad == 0).all()


def test_the_loss_of_a_batch_is_the_mean_of_the_losses_of_its_samples():
    """Else accumulated and distributed gradients were not those of one large batch."""
    random = torch.Generator().manual_seed(1)
    logits, target, valid = (torch.rand(3, 1, 4, 5, generator=random) for _ in range(3))
    target, valid = target.round(), (valid > 0.3).float()
    offset = torch.rand(3, 2, 4, 5, generator=random)
    inputs = (logits, target, valid, offset)

    def terms(logits, target, valid, offset):
        return torch.stack(
            [
                segmentation_loss(logits, target, valid),
                center_loss(logits, target, valid),
                offset_loss(offset, 2.0 * offset, target, valid),
            ]
        )

    alone = [terms(*(value[i : i + 1] for value in inputs)) for i in range(3)]
    torch.testing.assert_close(terms(*inputs), torch.stack(alone).mean(0))


def test_uncertainty_weighting_follows_its_formula_and_may_be_negative():
    weighting = UncertaintyWeighting()
    terms = torch.tensor([0.2, 0.06, 1.5])
    assert weighting(*terms).item() == pytest.approx(10 * 0.2 + 0.5 * 0.06 + 0.5 * 1.5)
    with torch.no_grad():
        weighting.log_variances.copy_(torch.tensor([0.3, -2.0, -3.0]))
    expected = (
        10 * math.exp(-0.3) * 0.2
        + 0.5 * math.exp(2.0) * 0.06
        + 0.5 * math.exp(3.0) * 1.5
        + 0.5 * (0.3 - 2.0 - 3.0)
    )
    assert weighting(*terms).item() == pytest.approx(expected, rel=1e-5)
    assert weighting(*torch.zeros(3)).item() < 0


def test_learned_weights_settle_where_each_weighted_term_is_one_half():
    weighting = UncertaintyWeighting()
    terms = torch.tensor([0.2, 0.06, 1.5])
    optimizer = torch.optim.SGD(weighting.parameters(), lr=0.5)
    for _ in range(300):
        optimizer.zero_grad()
        weighting(*terms).backward()
        optimizer.step()
    weighted = torch.tensor(weighting.FACTORS) * torch.exp(-weighting.log_variances) * terms
    assert torch.allclose(weighted, torch.full((3,), 0.5), atol=1e-4)


def sigmoid(value):
    return 1.0 / (1.0 + math.exp(-value))


def test_focal_loss_hardly_counts_what_is_nearly_right():
    logits, target, valid = grid(0.7, -1.2, 9.0), grid(1.0, 0.0, 0.0), grid(1.0, 1.0, 0.0)
    occupied, free = sigmoid(0.7), sigmoid(1.2)  # the probabilities of the truth
    expected = -0.25 * (1 - occupied) ** 2 * math.log(occupied)
    expected += -0.75 * (1 - free) ** 2 * math.log(free)
    assert focal_loss(logits, target, valid).item() == pytest.approx(expected / 2, rel=1e-5)
    weighted = segmentation_loss(logits, target, valid, positive_weight=1.0)
    plain = focal_loss(logits, target, valid, gamma=0.0, alpha=0.5)
    assert plain.item() == pytest.approx(0.5 * weighted.item(), rel=1e-5)


def test_dice_and_iou_loss_are_one_minus_the_overlap_of_probabilities():
    logits, target, valid = grid(0.7, -1.2, 30.0), grid(1.0, 0.0, 0.0), grid(1.0, 1.0, 0.0)
    both, predicted = sigmoid(0.7), sigmoid(0.7) + sigmoid(-1.2)
    dice = 1 - (2 * both + 1) / (predicted + 1 + 1)
    iou = 1 - (both + 1) / (predicted + 1 - both + 1)
    assert dice_loss(logits, target, valid).item() == pytest.approx(dice, rel=1e-5)
    assert iou_loss(logits, target, valid).item() == pytest.approx(iou, rel=1e-5)


@pytest.mark.parametrize("loss", [focal_loss, dice_loss, iou_loss])
def test_overlap_and_focal_losses_vanish_when_right_and_lead_there(loss):
    target = torch.tensor([[1.0, 0.0, 0.0, 1.0]]).reshape(1, 1, 2, 2)
    valid = torch.ones(1, 1, 2, 2)
    assert loss(40.0 * (target - 0.5), target, valid).item() == pytest.approx(0.0, abs=1e-6)
    assert loss(torch.full((1, 1, 2, 2), -30.0), 0 * target, valid).item() < 1e-6
    logits = torch.zeros(1, 1, 2, 2, requires_grad=True)
    loss(logits, target, valid).backward()
    assert (logits.grad.sign() == 1.0 - 2.0 * target).all()


def test_the_segmentation_term_is_the_sum_of_the_configured_shares():
    logits, target, valid = grid(0.7, -1.2, 0.1), grid(1.0, 0.0, 1.0), grid(1.0, 1.0, 1.0)
    config = LossConfig(cross_entropy=0.5, dice=2.0, positive_weight=3.0)
    expected = 0.5 * segmentation_loss(logits, target, valid, 3.0)
    expected += 2.0 * dice_loss(logits, target, valid)
    torch.testing.assert_close(segmentation_term(logits, target, valid, config), expected)


@pytest.mark.parametrize(
    ("kind", "center", "offset"),
    [
        ("mse", (0.04 + 0.64) / 2, 1.0 + 0.01),
        # below beta = 0.5: e^2; above: e - 0.25
        ("smooth_l1", (0.04 + 0.55) / 2, 0.75 + 0.01),
    ],
)
def test_centre_and_offset_can_take_other_losses(kind, center, offset):
    config = LossConfig(center=kind, offset=kind)
    everywhere = grid(1.0, 1.0)
    found = center_term(grid(0.2, 0.9), grid(0.0, 0.1), everywhere, config)
    assert found.item() == pytest.approx(center, rel=1e-5)
    inside = grid(1.0, 0.0)
    values = torch.tensor([[1.0, 7.0], [0.1, 7.0]]).reshape(1, 2, 1, 2)
    found = offset_term(values, 0.0 * values, inside, everywhere, config)
    assert found.item() == pytest.approx(offset, rel=1e-5)


def a_step(num_classes=1):
    random = torch.Generator().manual_seed(4)

    def maps(channels):
        return torch.randn(2, channels, 3, 4, generator=random)

    output = SegnetOutput(maps(8), None, maps(num_classes), maps(1).sigmoid(), maps(2))
    truth = (maps(num_classes) > 0).float()
    valid = (maps(1) > -1).float()
    return output, Batch(torch.zeros(2), None, truth, valid, maps(1).sigmoid(), maps(2))


def test_the_default_total_is_simple_bevs():
    output, batch = a_step()
    losses = total_losses(output, batch, LossConfig(), make_weighting(LossConfig()))
    segmentation = segmentation_loss(output.segmentation, batch.segmentation, batch.valid)
    center = center_loss(output.center, batch.center)
    offset = offset_loss(output.offset, batch.offset, batch.segmentation, batch.valid)
    assert list(losses) == ["segmentation", "center", "offset", "total"]
    torch.testing.assert_close(losses["total"], 10 * segmentation + 0.5 * center + 0.5 * offset)
    assert make_weighting(LossConfig()).log_variances.requires_grad


def test_weights_can_be_fixed_and_the_centre_masked():
    config = LossConfig(
        learned_weighting=False, segmentation_weight=1.0, offset_weight=0.0, mask_center=True
    )
    output, batch = a_step()
    weighting = make_weighting(config)
    losses = total_losses(output, batch, config, weighting)
    center = center_loss(output.center, batch.center, batch.valid)
    torch.testing.assert_close(losses["total"], losses["segmentation"] + 0.5 * center)
    assert not any(parameter.requires_grad for parameter in weighting.parameters())


def test_of_several_classes_each_has_its_loss_and_offsets_count_inside_any():
    output, batch = a_step(num_classes=3)
    names = ("vehicle", "pedestrian", "two_wheeler")
    losses = total_losses(output, batch, LossConfig(), make_weighting(LossConfig()), names)
    parts = torch.stack([losses[f"segmentation_{name}"] for name in names])
    torch.testing.assert_close(losses["segmentation"], parts.mean())
    inside = (batch.segmentation.sum(1, keepdim=True) > 0).float()
    expected = offset_loss(output.offset, batch.offset, inside, batch.valid)
    torch.testing.assert_close(losses["offset"], expected)


@pytest.mark.parametrize(
    "values",
    [
        {"cross_entropy": 0.0},
        {"dice": -1.0},
        {"center": "l1"},
        {"offset": "huber"},
        {"smooth_l1_beta": 0.0},
        {"focal_alpha": 1.5},
        {"segmentation_weight": float("nan")},
    ],
)
def test_a_loss_that_makes_no_sense_is_refused(values):
    with pytest.raises(ConfigurationError, match=next(iter(values)).split("_")[0]):
        LossConfig(**values)
