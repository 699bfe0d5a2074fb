# SPDX-License-Identifier: Apache-2.0
"""Each loss term equals its formula worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from bev_perception.training.losses import (
    UncertaintyWeighting,
    center_loss,
    masked_mean,
    offset_loss,
    segmentation_loss,
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
