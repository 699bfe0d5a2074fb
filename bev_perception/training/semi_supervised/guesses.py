# SPDX-License-Identifier: Apache-2.0
"""From what a teacher says to what a student is taught.

Sources: sharpening and guessed labels: Berthelot et al., "MixMatch", 2019; distribution alignment:
Berthelot et al., "ReMixMatch", 2020; confidence threshold: Sohn et al., "FixMatch", 2020. They
are about images of one class; here every cell of every class is a question of yes or no.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from bev_perception.geometry import BevGrid

_SMALLEST = 1e-6
"""Probabilities are kept so far from 0 and 1 where their logits are needed."""


def sharpened(probability: Tensor, temperature: float) -> Tensor:
    """p^(1/T) / (p^(1/T) + (1 - p)^(1/T)): below T = 1 nearer to 0 or 1."""
    return torch.sigmoid(_logit(probability) / temperature)


def aligned(probability: Tensor, wanted: Tensor, found: Tensor) -> Tensor:
    """Probabilities whose mean moves from the found rate towards the wanted one.

    p w / f and (1 - p) (1 - w) / (1 - f), scaled so that both sum to 1.

    Args:
        probability: any shape.
        wanted, found: rates in 0 to 1, shapes that broadcast to it.
    """
    return torch.sigmoid(_logit(probability) + _logit(wanted) - _logit(found))


def known(probability: Tensor, positive_weight: float) -> Tensor:
    """What a network knows that was taught with occupied cells weighed by w: 1 / w of its odds.

    The minimum of the weighted cross entropy lies at w times the true odds.
    """
    return torch.sigmoid(_logit(probability) - math.log(positive_weight))


def confident(probability: Tensor, occupied_from: float, free_to: float) -> Tensor:
    """1.0 where a probability is at least the first bound or at most the second, else 0.0."""
    return ((probability >= occupied_from) | (probability <= free_to)).float()


def _logit(probability: Tensor) -> Tensor:
    return torch.logit(probability, eps=_SMALLEST)


class OccupancyRates(nn.Module):
    """How often cells are occupied, by class and distance: by labels, and as the teacher guesses.

    Rates fall with distance, where vehicles hide each other, so no single one would fit the grid.
    They are of what a network knows; guesses stay in its own odds, so 0.5 remains their boundary.

    Args:
        grid: of the network.
        num_classes: channels of its segmentation.
        positive_weight: of the labels' loss, see known.
        ring_m: width of the rings of equal distance, metres.
        decay: of the running means, per update, once there were many.
    """

    rings: Tensor
    labelled: Tensor
    guessed: Tensor
    updates: Tensor

    def __init__(
        self,
        grid: BevGrid,
        num_classes: int,
        positive_weight: float = 1.0,
        ring_m: float = 10.0,
        decay: float = 0.99,
    ) -> None:
        super().__init__()
        self._positive_weight = positive_weight
        self._decay = decay
        numbers = (np.linalg.norm(grid.cell_centers, axis=-1) // ring_m).astype(np.int64)
        self.register_buffer("rings", torch.from_numpy(numbers), persistent=False)
        rates = torch.full((num_classes, int(numbers.max()) + 1), torch.nan)
        self.register_buffer("labelled", rates.clone())
        self.register_buffer("guessed", rates.clone())
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def update(self, labels: Tensor, valid: Tensor, guesses: Tensor, seen: Tensor) -> None:
        """Takes the means of one step into account.

        Args:
            labels, valid: (B, K, Y, X) of labelled moments.
            guesses: (B, K, Y, X) a network's probabilities for moments without labels.
            seen: (B, 1, Y, X) of 0 and 1, cells of which those can tell anything.
        """
        self.updates += 1
        share = max(1.0 - self._decay, 1.0 / int(self.updates))
        self.labelled.copy_(_moved(self.labelled, self._means(labels, valid), share))
        found = self._means(known(guesses, self._positive_weight), seen)
        self.guessed.copy_(_moved(self.guessed, found, share))

    def aligned(self, guesses: Tensor) -> Tensor:
        """Guesses (B, K, Y, X) whose rates are moved to those of the labels; see aligned."""
        there = torch.isfinite(self.labelled) & torch.isfinite(self.guessed)
        wanted = torch.where(there, self.labelled, 0.5)[:, self.rings]
        found = torch.where(there, self.guessed, 0.5)[:, self.rings]
        return aligned(guesses, wanted, found)

    def _means(self, values: Tensor, counted: Tensor) -> Tensor:
        """(K, R) means over the counted cells of each ring, NaN where there are none."""
        weights = counted.expand_as(values)
        ring = self.rings.flatten()
        sums = self.labelled.new_zeros(self.labelled.shape)
        counts = torch.zeros_like(sums)
        sums.index_add_(1, ring, (values * weights).sum(0).flatten(1).to(sums.dtype))
        counts.index_add_(1, ring, weights.sum(0).flatten(1).to(sums.dtype))
        return sums / counts


def _moved(old: Tensor, new: Tensor, share: float) -> Tensor:
    """Running means, where old ones are NaN the new ones, and the reverse."""
    both = torch.lerp(old, new, share)
    return torch.where(torch.isnan(old), new, torch.where(torch.isnan(new), old, both))
