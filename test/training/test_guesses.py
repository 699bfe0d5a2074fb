# SPDX-License-Identifier: Apache-2.0
"""What a teacher's answers become before they teach, and what a student loses who disagrees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn_boxes import MODEL

from bev_perception.geometry import BevGrid
from bev_perception.model import Segnet
from bev_perception.training.loss_config import LossConfig
from bev_perception.training.losses import (
    UncertaintyWeighting,
    make_weighting,
    segmentation_loss,
    total_losses,
)
from bev_perception.training.semi_supervised.guess_loss import guess_loss
from bev_perception.training.semi_supervised.guesses import (
    OccupancyRates,
    aligned,
    confident,
    known,
    sharpened,
)
from bev_perception.training.semi_supervised.labels import TaughtCells


def test_sharpening_is_the_quotient_of_powers():
    p = torch.tensor([0.02, 0.3, 0.5, 0.9], dtype=torch.float64)
    powers = p**2 / (p**2 + (1 - p) ** 2)
    torch.testing.assert_close(sharpened(p, 0.5), powers)
    torch.testing.assert_close(sharpened(p, 1.0), p)


def test_alignment_multiplies_both_answers_by_their_rates():
    p, wanted, found = torch.tensor(0.3), torch.tensor(0.1), torch.tensor(0.2)
    yes, no = p * wanted / found, (1 - p) * (1 - wanted) / (1 - found)
    torch.testing.assert_close(aligned(p, wanted, found), yes / (yes + no))


def test_guesses_get_the_rates_of_the_labels_in_every_ring_of_distance():
    """A teacher that sees twice as many vehicles far away, and none too many nearby."""
    grid = BevGrid.centered(20.0, 1.0)
    far = torch.from_numpy(np.linalg.norm(grid.cell_centers, axis=-1) >= 10.0)
    rates = OccupancyRates(grid, num_classes=1)
    generator = torch.Generator().manual_seed(0)
    labels = (torch.rand(64, 1, *grid.shape, generator=generator) < 0.1).float()
    guesses = torch.where(far, 0.2, 0.1).expand(64, 1, *grid.shape)
    everywhere = torch.ones(64, 1, *grid.shape)
    unchanged = rates.aligned(guesses)
    torch.testing.assert_close(unchanged, guesses)  # before anything is known
    for _ in range(3):
        rates.update(labels, everywhere, guesses, everywhere)
    mean = rates.aligned(guesses).mean(dim=(0, 1))
    assert mean[far].mean() == pytest.approx(float(labels[:, 0, far].mean()), rel=0.02)
    assert mean[~far].mean() == pytest.approx(float(labels[:, 0, ~far].mean()), rel=0.02)


def test_a_network_that_the_weighted_loss_has_taught_all_it_can_know_keeps_its_guesses():
    """Such a network gives the weight times the odds; its boundary of 0.5 must not move."""
    grid, rate, weight = BevGrid.centered(20.0, 1.0), 0.1, 2.13
    network = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.LBFGS([network], max_iter=100, line_search_fn="strong_wolfe")
    labels = torch.zeros(8, 1, *grid.shape)
    labels.view(-1, 10)[:, 0] = 1.0
    everywhere = torch.ones_like(labels)

    def loss():
        optimizer.zero_grad()
        value = segmentation_loss(network.expand_as(labels), labels, everywhere, weight)
        value.backward()
        return value

    optimizer.step(loss)
    guesses = network.detach().sigmoid().expand_as(labels)
    assert float(guesses.mean()) > 1.8 * rate
    assert float(known(guesses, weight).mean()) == pytest.approx(rate, rel=1e-2)
    rates = OccupancyRates(grid, num_classes=1, positive_weight=weight)
    rates.update(labels, everywhere, guesses, everywhere)
    rates.labelled.fill_(rate)  # chance gives each ring a slightly different one
    torch.testing.assert_close(rates.aligned(guesses), guesses, atol=1e-3, rtol=0.0)


def test_only_sure_cells_teach():
    p = torch.tensor([0.01, 0.05, 0.06, 0.69, 0.7, 1.0])
    assert confident(p, 0.7, 0.05).tolist() == [1, 1, 0, 0, 1, 1]
    output, guess = random_answer_and_guess()
    nothing = replace(guess, valid=torch.zeros_like(guess.valid))
    loss = guess_loss(output, nothing, UncertaintyWeighting(), LossConfig())
    assert loss.item() == 0.0
    changed = replace(guess, valid=guess.valid.clone())
    changed.valid[..., :5] = 0.0
    before = guess_loss(output, changed, UncertaintyWeighting(), LossConfig())
    changed.segmentation[..., :5] = 0.5
    changed.center[..., :5] = 0.9
    assert guess_loss(output, changed, UncertaintyWeighting(), LossConfig()) == before


@pytest.mark.parametrize(
    "losses",
    [LossConfig(), LossConfig(center="mse", offset="smooth_l1"), LossConfig(cross_entropy=0.3)],
    ids=["default", "others", "share"],
)
def test_a_guess_that_is_the_truth_weighs_what_the_truth_does(losses):
    """In the balance that labels have found, whatever their losses are."""
    output, guess = random_answer_and_guess()
    truth = replace(guess, segmentation=(guess.segmentation > 0.9).float())
    weighting = make_weighting(losses)
    weighting.log_variances.data = torch.tensor([0.3, -1.0, 2.0])
    labelled = total_losses(output, truth, losses, weighting)["total"]
    guessed = guess_loss(output, truth, weighting, losses, positive_weight=losses.odds_weight)
    balance = 0.5 * weighting.log_variances.sum()
    torch.testing.assert_close(guessed, labelled - balance)


def random_answer_and_guess():
    torch.manual_seed(1)
    model = Segnet(MODEL)
    output = model.decode(torch.randn(2, MODEL.latent_dim, *MODEL.grid.shape), False)
    shape = (2, 1, *MODEL.grid.shape)
    center, offset = torch.rand(shape), torch.randn(2, 2, *MODEL.grid.shape)
    return output, TaughtCells(torch.rand(shape), torch.ones(shape), center, offset)


def test_agreement_with_the_teacher_costs_nothing_in_squares():
    output, guess = random_answer_and_guess()
    same = replace(
        guess,
        segmentation=output.segmentation.sigmoid(),
        center=output.center,
        offset=output.offset,
    )
    losses = UncertaintyWeighting(), LossConfig()
    assert guess_loss(output, same, *losses, squared=True).item() < 1e-10
    assert guess_loss(output, guess, *losses, squared=True).item() > 0.1
