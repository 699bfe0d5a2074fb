# SPDX-License-Identifier: Apache-2.0
"""Segnet in Lightning's hands, learning from moments with and without labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from bev_perception.model import Segnet, SegnetOutput
from bev_perception.training.batch import Batch
from bev_perception.training.configuration import TrainConfig
from bev_perception.training.losses import total_losses
from bev_perception.training.module import SegnetModule
from bev_perception.training.semi_supervised.guess_loss import guess_loss
from bev_perception.training.semi_supervised.guesses import (
    OccupancyRates,
    confident,
    known,
    sharpened,
)
from bev_perception.training.semi_supervised.labels import TaughtCells, rows_of
from bev_perception.training.semi_supervised.mixing import Mix, bev_features, drawn_mix
from bev_perception.training.semi_supervised.teacher import Teacher
from bev_perception.training.semi_supervised.turn_task import TurnTask
from bev_perception.training.semi_supervised.unlabelled_data import SemiSupervisedBatch, Sights

Losses = dict[str, Tensor]


class SemiSupervisedModule(SegnetModule):
    """Trains a Segnet by one of semi_supervised.config.METHODS.

    Every method gives the labelled terms, their total, and the loss ``unlabelled`` of guesses.

    Args:
        model: the network, changed in place.
        config: the run.
    """

    followed_step: Tensor

    def __init__(self, model: Segnet, config: TrainConfig) -> None:
        super().__init__(model, config)
        self.settings = config.semi_supervised
        uses = self.settings.uses_unlabelled
        self.teacher = Teacher(model, self.settings.teacher_decay) if uses else None
        self.rates = OccupancyRates(
            model.config.grid, model.config.num_classes, config.losses.odds_weight
        )
        self.turn_task = TurnTask(model.config) if self.settings.turn_weight else None
        self._steps: dict[str, Callable[[SemiSupervisedBatch], tuple[SegnetOutput, Losses]]] = {
            "mixup": self._mixup,
            "mixmatch": self._mixmatch,
            "remixmatch": self._remixmatch,
            "fixmatch": self._fixmatch,
        }
        self.register_buffer("followed_step", torch.zeros((), dtype=torch.int64))

    def training_step(self, batch: SemiSupervisedBatch, batch_idx: int) -> Tensor:  # type: ignore[override]
        """Total loss of a batch, that of guesses rising over the first steps."""
        self._follow()
        output, losses = self._steps[self.settings.method](batch)
        ramp = min(1.0, self.global_step / max(1, self.settings.ramp_steps))
        if "unlabelled" in losses:
            losses["total"] = losses["total"] + self.settings.weight * ramp * losses["unlabelled"]
        self.note_step(losses, output, batch.labelled, batch_idx)
        return losses["total"]

    def _follow(self) -> None:
        """The teacher takes in the last step; here, so that a checkpoint is always before it."""
        if self.teacher is not None and self.global_step != int(self.followed_step):
            self.followed_step.fill_(self.global_step)
            self.teacher.follow(self.model)

    def _mixup(self, batch: SemiSupervisedBatch) -> tuple[SegnetOutput, Losses]:
        """Labelled moments mixed with each other."""
        (bev,) = bev_features(self.model, [batch.labelled])
        mix = self._mix(batch, len(bev), mostly_own=False)
        output = self.model.decode(mix.of(bev), with_feature=False)
        own = self._labelled_losses(output, TaughtCells.joined([batch.labelled]))
        partners = TaughtCells.joined([batch.labelled]).rows(mix.partners)
        others = self._labelled_losses(output, partners)
        mixed = {name: torch.lerp(others[name], own[name], mix.share) for name in own}
        return output, mixed

    def _fixmatch(self, batch: SemiSupervisedBatch) -> tuple[SegnetOutput, Losses]:
        """The teacher's sure answers to weak variations, taught on strong ones."""
        guess = self._teacher.guess(batch.weak)
        bounds = self.settings.occupied_threshold, self.settings.free_threshold
        probability = known(guess.segmentation, self.config.losses.odds_weight)
        sure = confident(probability, *bounds).amin(dim=1, keepdim=True)
        taught = guess.valid * sure * batch.strong[0].seen
        labelled, strong = bev_features(self.model, [batch.labelled, batch.strong[0]])
        output = self.model.decode(torch.cat([labelled, strong]), with_feature=False)
        about_labelled = rows_of(output, slice(0, len(labelled)))
        losses = self._labelled_losses(about_labelled, TaughtCells.joined([batch.labelled]))
        hard = (probability >= self.settings.occupied_threshold).float()
        losses["unlabelled"] = guess_loss(
            rows_of(output, slice(len(labelled), None)),
            TaughtCells(hard, taught, guess.center, guess.offset),
            self.weighting,
            self.config.losses,
            positive_weight=self.config.losses.odds_weight,
        )
        losses["sure_share"] = (taught.sum() / guess.valid.sum().clamp(min=1.0)).detach()
        return about_labelled, losses

    def _mixmatch(self, batch: SemiSupervisedBatch) -> tuple[SegnetOutput, Losses]:
        """Sharpened mean of weak variations as their label, everything mixed with everything."""
        mean = self._teacher.guess(batch.weak)
        occupancy = sharpened(mean.segmentation, self.settings.sharpening)
        guess = TaughtCells(occupancy, mean.valid, mean.center, mean.offset)
        features = bev_features(self.model, [batch.labelled, *batch.weak])
        guesses = [guess] * len(batch.weak)
        return self._mixed(batch, features, guesses, squared=True)

    def _remixmatch(self, batch: SemiSupervisedBatch) -> tuple[SegnetOutput, Losses]:
        """Aligned and sharpened guesses on a weak variation anchor several strong ones."""
        first = self._teacher.guess(batch.weak)
        labelled = batch.labelled
        self.rates.update(labelled.segmentation, labelled.valid, first.segmentation, first.valid)
        occupancy = sharpened(self.rates.aligned(first.segmentation), self.settings.sharpening)
        anchors = [
            TaughtCells(occupancy, first.valid * strong.seen, first.center, first.offset)
            for strong in batch.strong
        ]
        seen: list[Batch | Sights] = [labelled, *batch.strong]
        if batch.turned is not None:
            seen.append(batch.turned.sights)
        features = bev_features(self.model, seen)
        output, losses = self._mixed(batch, features[: 1 + len(anchors)], anchors, squared=False)
        unmixed = self.model.decode(features[1], with_feature=False)
        losses["unlabelled"] = losses["unlabelled"] + guess_loss(
            unmixed, anchors[0], self.weighting, self.config.losses
        )
        if self.turn_task is not None:
            assert batch.turned is not None
            losses["turn"] = self.turn_task(self.model, features[-1], batch.turned.quarters)
            losses["total"] = losses["total"] + self.settings.turn_weight * losses["turn"]
        return output, losses

    def _mixed(
        self,
        batch: SemiSupervisedBatch,
        features: list[Tensor],
        guesses: list[TaughtCells],
        squared: bool,
    ) -> tuple[SegnetOutput, Losses]:
        """Labelled moments and guesses mixed at random; each place keeps its kind of loss.

        Labels weigh occupied cells by odds_weight wherever they are mixed in, as guesses are
        in odds of that weight.

        Args:
            batch: of the labels.
            features: of the labelled moments, then of each variation of the others.
            guesses: what is taught of those variations.
            squared: see guess_loss.
        """
        bev = torch.cat(features)
        mix = self._mix(batch, len(bev), mostly_own=True)
        output = self.model.decode(mix.of(bev), with_feature=False)
        taught = TaughtCells.joined([batch.labelled, *guesses])
        partners = taught.rows(mix.partners)
        labelled, guessed = slice(0, len(batch)), slice(len(batch), None)
        weights = bev.new_ones(len(bev), 1, 1, 1, dtype=torch.float32)
        weights[labelled] = self.config.losses.odds_weight
        weights_of_partners = weights[mix.partners]
        answer, answer_to_guesses = rows_of(output, labelled), rows_of(output, guessed)
        losses = self._labelled_losses(answer, taught.rows(labelled))
        foreign = guess_loss(
            answer,
            partners.rows(labelled),
            self.weighting,
            self.config.losses,
            positive_weight=weights_of_partners[labelled],
        )
        losses["total"] = mix.share * losses["total"] + (1.0 - mix.share) * foreign
        own, others = (
            guess_loss(
                answer_to_guesses,
                cells.rows(guessed),
                self.weighting,
                self.config.losses,
                squared,
                weight,
            )
            for cells, weight in ((taught, 1.0), (partners, weights_of_partners[guessed]))
        )
        losses["unlabelled"] = mix.share * own + (1.0 - mix.share) * others
        return answer, losses

    @property
    def _teacher(self) -> Teacher:
        assert self.teacher is not None, "methods with guesses have a teacher"
        return self.teacher

    def _mix(self, batch: SemiSupervisedBatch, count: int, mostly_own: bool) -> Mix:
        random = np.random.default_rng((self.config.seed, batch.position))
        mix = drawn_mix(count, self.settings.mix_alpha, random, mostly_own)
        return Mix(mix.share, mix.partners.to(self.device))

    def _labelled_losses(self, output: SegnetOutput, labels: TaughtCells) -> Losses:
        return total_losses(
            output, labels, self.config.losses, self.weighting, self.model.config.classes
        )
