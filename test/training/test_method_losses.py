# SPDX-License-Identifier: Apache-2.0
"""Each method's loss is its paper's, worked out again for networks whose answers are known.

Teacher and student read their answers off the images. They differ in one weight, and so do the
images and the seen cells of every variation: who is asked what, and where, changes the loss.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from drawn_boxes import MODEL
from torch import nn

from bev_perception.geometry import BevGrid
from bev_perception.model import SegnetOutput
from bev_perception.training import TrainConfig
from bev_perception.training.batch import Batch
from bev_perception.training.loss_config import LossConfig
from bev_perception.training.semi_supervised.config import SemiSupervisedConfig
from bev_perception.training.semi_supervised.mixing import Mix
from bev_perception.training.semi_supervised.module import SemiSupervisedModule
from bev_perception.training.semi_supervised.unlabelled_data import SemiSupervisedBatch, Sights

GRID = BevGrid.centered(14.0, 2.0)
CELLS = GRID.shape
TEACHER, STUDENT = 2.0, 0.7
LOSSES = LossConfig(center="mse", mask_center=True)
WEIGHT = LOSSES.positive_weight
SHARE = 0.7
"""Of a moment itself, where it is mixed."""


class Reader(nn.Module):
    """Pixel (y, x) of its one camera says what it answers about cell (y, x), times its weight."""

    feature_head = None
    config = replace(MODEL, grid=GRID, classes=("vehicle", "pedestrian"))

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def encode(self, images):
        return images.float() / 64.0 - 2.0

    def lift(self, features, taps):
        return features[:, 0]

    def decode(self, bev, with_feature):
        answer = self.weight * bev
        return SegnetOutput(
            bev, None, answer[:, :2], center=answer[:, 2:].sigmoid(), offset=answer[:, 1:]
        )

    def forward(self, images, taps, with_feature):
        return self.decode(self.lift(self.encode(images), taps), with_feature)


@dataclass
class SeenCells:
    """All that a Reader's lift knows of cameras: seen (B, Y, X)."""

    seen: np.ndarray


@dataclass
class Taught:
    """TaughtCells once more, of arrays in float64."""

    segmentation: np.ndarray
    valid: np.ndarray
    center: np.ndarray
    offset: np.ndarray

    def __getitem__(self, rows):
        return Taught(*(part[rows] for part in vars(self).values()))


def joined(*parts):
    return Taught(*(np.concatenate(each) for each in zip(*(vars(part).values() for part in parts))))


def sights(random, count):
    images = torch.from_numpy(random.integers(0, 256, (count, 1, 3, *CELLS), dtype=np.uint8))
    return Sights(images, SeenCells(random.random((count, *CELLS)) < 0.7))


@pytest.fixture
def batch():
    """Two labelled moments and three others, in three variations for each side."""
    random = np.random.default_rng(5)
    pictures = sights(random, 2)

    def drawn(channels):
        return torch.from_numpy(random.random((2, channels, *CELLS), dtype=np.float32))

    labelled = Batch(
        pictures.images,
        pictures.taps,
        segmentation=(drawn(2) < 0.2).float(),
        valid=(drawn(1) < 0.8).float(),
        center=drawn(1),
        offset=drawn(2),
    )
    weak, strong = (tuple(sights(random, 3) for _ in range(3)) for _ in range(2))
    return SemiSupervisedBatch(0, labelled, weak, strong)


@pytest.fixture
def partners(monkeypatch):
    """A mix whose every moment has the one before as its partner, instead of a drawn one."""
    place = "bev_perception.training.semi_supervised.module.drawn_mix"

    def mix(count, alpha, random, mostly_own):
        assert mostly_own
        return Mix(SHARE, torch.arange(count).roll(1))

    monkeypatch.setattr(place, mix)


def module_of(method, losses=LOSSES):
    """Its teacher is the student as it was before it learned."""
    settings = SemiSupervisedConfig(
        method, occupied_threshold=0.8, free_threshold=0.05, sharpening=0.5
    )
    config = TrainConfig(model=Reader.config, losses=losses, semi_supervised=settings)
    module = SemiSupervisedModule(Reader(TEACHER), config)
    module.model.weight.data.fill_(STUDENT)
    return module


def sigmoid(logits):
    return 1.0 / (1.0 + np.exp(-logits))


def scaled_odds(probability, factor=1.0, power=1.0):
    """The probability whose odds are a factor times a power of the given one's."""
    odds = factor * (probability / (1.0 - probability)) ** power
    return odds / (1.0 + odds)


def pixels(pictures):
    """(B, 3, Y, X) that a Reader reads, before its weight."""
    return pictures.images.numpy()[:, 0].astype(np.float64) / 64.0 - 2.0


def answered(bev, weight):
    """Logits (B, 2, Y, X), centre (B, 1, Y, X) and offset (B, 2, Y, X) that a Reader gives."""
    answer = weight * bev
    return answer[:, :2], sigmoid(answer[:, 2:]), answer[:, 1:]


def seen(pictures):
    """(B, 1, Y, X) of 0 and 1."""
    return pictures.taps.seen[:, None].astype(np.float64)


def taught_by_teacher(variations, valid):
    """The mean of the teacher's answers to variations of the same moments."""
    answers = [answered(pixels(each), TEACHER) for each in variations]
    logits, center, offset = (np.array(each) for each in zip(*answers))
    return Taught(sigmoid(logits).mean(0), valid, center.mean(0), offset.mean(0))


def taught_by_person(batch):
    labels = batch.labelled
    parts = labels.segmentation, labels.valid, labels.center, labels.offset
    return Taught(*(part.numpy().astype(np.float64) for part in parts))


def mean_of(values, mask):
    """(B,) means over the cells of the mask (B, 1, Y, X) and all channels."""
    mask = np.broadcast_to(mask, values.shape)
    return (values * mask).sum((1, 2, 3)) / mask.sum((1, 2, 3))


def costs(answer, taught, weight, squared=False):
    """(B,) what each moment's answer costs; weight is that of occupied cells, (B,) or one."""
    logits, center, offset = answer
    guess, wanted = sigmoid(logits), taught.segmentation
    weight = np.reshape(weight, (-1, 1, 1, 1))
    errors = -weight * wanted * np.log(guess) - (1.0 - wanted) * np.log(1.0 - guess)
    if squared:
        errors = (weight * wanted + 1.0 - wanted) * (guess - wanted) ** 2
    occupied = wanted.max(1, keepdims=True) > 0.5
    away = np.abs(offset - taught.offset).sum(1, keepdims=True)
    terms = (
        mean_of(errors, taught.valid),
        mean_of((center - taught.center) ** 2, taught.valid),
        mean_of(away, taught.valid * occupied),
    )
    return sum(factor * term for factor, term in zip(LOSSES.weights, terms))


def mixed_costs(batch, variations, guesses, squared):
    """Total of labels and loss of guesses, when all moments are mixed with the one before."""
    bev = np.concatenate([pixels(each) for each in (batch.labelled, *variations)])
    taught = joined(taught_by_person(batch), *guesses)
    before = np.roll(np.arange(len(bev)), 1)
    answer = answered(SHARE * bev + (1.0 - SHARE) * bev[before], STUDENT)
    weights = np.where(np.arange(len(bev)) < len(batch), WEIGHT, 1.0)

    def mean_cost(rows, squared):
        parts = tuple(part[rows] for part in answer)
        own = costs(parts, taught[rows], weights[rows], squared)
        partners = costs(parts, taught[before][rows], weights[before][rows], squared)
        return np.mean(SHARE * own + (1.0 - SHARE) * partners)

    return mean_cost(slice(0, len(batch)), False), mean_cost(slice(len(batch), None), squared)


def aligned_rates(batch, guess):
    """(B, 2, Y, X): in each class and ring of 10 m, odds times those of labels over known ones."""
    known, labels = scaled_odds(guess.segmentation, 1.0 / WEIGHT), taught_by_person(batch)
    rings = np.linalg.norm(GRID.cell_centers, axis=-1) // 10.0
    result = np.empty_like(known)
    for kind in range(2):
        for ring in np.unique(rings):
            cells = rings == ring
            wanted = labels.segmentation[:, kind, cells][labels.valid[:, 0, cells] > 0].mean()
            found = known[:, kind, cells][guess.valid[:, 0, cells] > 0].mean()
            factor = wanted / (1.0 - wanted) * (1.0 - found) / found
            result[:, kind, cells] = scaled_odds(guess.segmentation[:, kind, cells], factor)
    return result


def test_fixmatch_teaches_hard_answers_where_the_teacher_is_sure_and_both_see(batch):
    guess = taught_by_teacher(batch.weak[:1], seen(batch.weak[0]))
    known = scaled_odds(guess.segmentation, 1.0 / WEIGHT)
    sure = ((known >= 0.8) | (known <= 0.05)).all(1, keepdims=True)
    hard = (guess.segmentation > 0.5).astype(np.float64)
    strong = batch.strong[0]
    taught = replace(guess, segmentation=hard, valid=guess.valid * sure * seen(strong))
    expected = costs(answered(pixels(strong), STUDENT), taught, WEIGHT).mean()
    once = replace(batch, weak=batch.weak[:1], strong=batch.strong[:1])
    _, losses = module_of("fixmatch")._fixmatch(once)
    assert losses["unlabelled"].item() == pytest.approx(expected, rel=1e-5)
    about_labels = answered(pixels(batch.labelled), STUDENT)
    by_person = costs(about_labels, taught_by_person(batch), WEIGHT).mean()
    assert losses["total"].item() == pytest.approx(by_person, rel=1e-5)


def test_fixmatch_teaches_free_what_is_surely_free_however_much_occupied_cells_weigh(
    batch, monkeypatch
):
    """Taught with a weight of 40, a network that knows of 3 % says 55 %."""
    taught = []

    def note(output, cells, *others, **named):
        taught.append(cells)
        return output.segmentation.sum()

    monkeypatch.setattr("bev_perception.training.semi_supervised.module.guess_loss", note)
    module = module_of("fixmatch", replace(LOSSES, positive_weight=40.0))
    module._fixmatch(replace(batch, weak=batch.weak[:1], strong=batch.strong[:1]))
    guess = taught_by_teacher(batch.weak[:1], None).segmentation
    known = scaled_odds(guess, 1.0 / 40.0)
    cells = np.broadcast_to(taught[0].valid.numpy() > 0, known.shape)
    surely_free = cells & (known <= 0.05)
    assert (guess[surely_free] > 0.5).any()
    np.testing.assert_array_equal(taught[0].segmentation.numpy()[cells], known[cells] >= 0.8)


def test_mixmatch_teaches_the_sharpened_mean_of_all_weak_variations(batch, partners):
    guess = taught_by_teacher(batch.weak, np.prod([seen(each) for each in batch.weak], 0))
    sharp = replace(guess, segmentation=scaled_odds(guess.segmentation, power=2.0))
    total, unlabelled = mixed_costs(batch, batch.weak, [sharp] * 3, squared=True)
    _, losses = module_of("mixmatch")._mixmatch(replace(batch, strong=()))
    assert losses["unlabelled"].item() == pytest.approx(unlabelled, rel=1e-5)
    assert losses["total"].item() == pytest.approx(total, rel=1e-5)


def test_remixmatch_anchors_all_strong_variations_to_aligned_and_sharpened_guesses(batch, partners):
    guess = taught_by_teacher(batch.weak[:1], seen(batch.weak[0]))
    sharp = scaled_odds(aligned_rates(batch, guess), power=2.0)
    anchors = [
        replace(guess, segmentation=sharp, valid=guess.valid * seen(each)) for each in batch.strong
    ]
    total, unlabelled = mixed_costs(batch, batch.strong, anchors, squared=False)
    unlabelled += costs(answered(pixels(batch.strong[0]), STUDENT), anchors[0], 1.0).mean()
    _, losses = module_of("remixmatch")._remixmatch(replace(batch, weak=batch.weak[:1]))
    assert losses["unlabelled"].item() == pytest.approx(unlabelled, rel=1e-5)
    assert losses["total"].item() == pytest.approx(total, rel=1e-5)


def test_guesses_count_more_with_every_step_and_the_teacher_follows_once_in_each(monkeypatch):
    module = module_of("fixmatch")
    module.settings = SemiSupervisedConfig("fixmatch", weight=0.5, ramp_steps=10)
    monkeypatch.setattr(module, "note_step", lambda *noted: None)

    def losses(batch):
        return None, {"total": torch.tensor(2.0), "unlabelled": torch.tensor(3.0)}

    monkeypatch.setitem(module._steps, "fixmatch", losses)
    labelled = SimpleNamespace(labelled=None)
    totals, weights = [], []
    for step in (0, 5, 5, 10, 30):
        monkeypatch.setattr(SemiSupervisedModule, "global_step", step)
        totals.append(module.training_step(labelled, 0).item())
        weights.append(module.teacher.state_dict()["_average.module.weight"].item())
        module.model.weight.data.mul_(0.5)
    assert totals == pytest.approx([2.0, 2.75, 2.75, 3.5, 3.5])
    first, second, same, third, fourth = weights
    assert first == TEACHER, "no step was made yet"
    assert first > second == same > third > fourth > module.model.weight.item()
