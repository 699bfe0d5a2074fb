# SPDX-License-Identifier: Apache-2.0
"""Samples without labels, as the teacher and the student see them, beside labelled ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from bev_perception.datasets.prepared_bag import PreparedBag, Sample
from bev_perception.errors import ConfigurationError
from bev_perception.model import LiftGeometry, SegnetConfig
from bev_perception.model.lift_geometry import batched
from bev_perception.training.augmentation import AugmentationConfig, augmented, mirrored, turned
from bev_perception.training.batch import Batch, Example, collate
from bev_perception.training.dataset import SegnetDataset, TapTableCache, padded
from bev_perception.training.semi_supervised.config import SemiSupervisedConfig
from bev_perception.training.semi_supervised.turn_task import QUARTERS


@dataclass(frozen=True)
class Sight:
    """What the network gets of one moment.

    Attributes:
        images: (S, H, W, 3) uint8 RGB.
        taps: of its rig.
    """

    images: NDArray[np.uint8]
    taps: LiftGeometry


@dataclass(frozen=True)
class Sights:
    """What it gets of B moments.

    Attributes:
        images: (B, S, 3, H, W) uint8, a view of channels-last memory.
        taps: of the B rigs.
    """

    images: Tensor
    taps: LiftGeometry

    @property
    def seen(self) -> Tensor:
        """(B, 1, Y, X) of 0 and 1: cells that some camera sees."""
        return torch.from_numpy(self.taps.seen)[:, None].to(self.images.device).float()

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Sights:
        """On another device."""
        return Sights(
            self.images.to(device, non_blocking=non_blocking),
            self.taps.to(device, non_blocking=non_blocking),
        )

    @classmethod
    def stacked(cls, sights: Sequence[Sight]) -> Sights:
        """Of rigs with equally many cameras."""
        images = torch.from_numpy(np.stack([sight.images for sight in sights]))
        taps = batched([sight.taps for sight in sights])
        return cls(images.permute(0, 1, 4, 2, 3), taps)


@dataclass(frozen=True)
class Turned:
    """B moments whose vehicles were turned, see turn_task.

    Attributes:
        sights: of the turned vehicles.
        quarters: (B,) int64 in 0 to 3, quarter turns from x to y of all around them.
    """

    sights: Sights
    quarters: Tensor

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Turned:
        """On another device."""
        return Turned(
            self.sights.to(device, non_blocking),
            self.quarters.to(device, non_blocking=non_blocking),
        )


@dataclass(frozen=True)
class UnlabelledExample:
    """One moment without labels, on the same cells in every variation.

    Attributes:
        weak: for the teacher, config.num_weak variations.
        strong: for the student, config.num_strong variations.
        turned: a further strong variation and by how many quarters its vehicle was turned; None
            where nobody asks.
    """

    weak: tuple[Sight, ...]
    strong: tuple[Sight, ...]
    turned: tuple[Sight, int] | None = None


@dataclass(frozen=True)
class SemiSupervisedExample:
    """A labelled moment and some without labels.

    Attributes:
        position: of the sampler, which decided all of it.
        labelled: as in training with labels alone.
        unlabelled: config.ratio moments.
    """

    position: int
    labelled: Example
    unlabelled: tuple[UnlabelledExample, ...]


@dataclass(frozen=True)
class SemiSupervisedBatch:
    """What one step works on.

    Attributes:
        position: of its first example; decides what is drawn at random in the step.
        labelled: B moments.
        weak: of U moments without labels, one entry per variation.
        strong: of the same moments.
        turned: of the same moments; None where nobody asks.
    """

    position: int
    labelled: Batch
    weak: tuple[Sights, ...]
    strong: tuple[Sights, ...]
    turned: Turned | None = None

    def __len__(self) -> int:
        return len(self.labelled)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> SemiSupervisedBatch:
        """The batch on another device."""
        return SemiSupervisedBatch(
            self.position,
            self.labelled.to(device, non_blocking),
            tuple(sights.to(device, non_blocking) for sights in self.weak),
            tuple(sights.to(device, non_blocking) for sights in self.strong),
            None if self.turned is None else self.turned.to(device, non_blocking),
        )


def collate_semi_supervised(examples: Sequence[SemiSupervisedExample]) -> SemiSupervisedBatch:
    """Stacks examples of rigs with equally many cameras."""
    moments = [moment for example in examples for moment in example.unlabelled]
    weak = zip(*(moment.weak for moment in moments))
    strong = zip(*(moment.strong for moment in moments))
    return SemiSupervisedBatch(
        examples[0].position,
        collate([example.labelled for example in examples]),
        tuple(Sights.stacked(variation) for variation in weak),
        tuple(Sights.stacked(variation) for variation in strong),
        _turned([moment.turned for moment in moments if moment.turned is not None]),
    )


def _turned(moments: Sequence[tuple[Sight, int]]) -> Turned | None:
    if not moments:
        return None
    sights, quarters = zip(*moments)
    return Turned(Sights.stacked(sights), torch.tensor(quarters, dtype=torch.int64))


class SemiSupervisedDataset(Dataset[SemiSupervisedExample]):
    """Labelled samples, each with some that are used without their labels.

    Args:
        labelled: one example of each of its samples in every pass.
        unlabelled: bags whose boxes are never looked at; drawn from evenly.
        config: how samples without labels are varied, and how many come with each labelled one.
        model: the network.
        weak: the run's augmentation, of which the teacher sees colours and views.
        seed: of what is drawn.

    Raises:
        ConfigurationError: there is no sample without labels.
    """

    def __init__(
        self,
        labelled: SegnetDataset,
        unlabelled: Sequence[PreparedBag],
        config: SemiSupervisedConfig,
        model: SegnetConfig,
        weak: AugmentationConfig,
        seed: int = 0,
    ) -> None:
        self._labelled = labelled
        self._bags = tuple(unlabelled)
        self._ends = np.cumsum([len(bag) for bag in unlabelled])
        if config.uses_unlabelled and not (len(self._ends) and self._ends[-1]):
            raise ConfigurationError(
                f"{config.method} learns from samples without labels and there are none; name "
                f"bags with --unlabelled, or lower data.labelled_fraction"
            )
        self._config = config
        self._seed = seed
        self._frame = weak
        self._weak = replace(weak, mirror=False, turn_steps=1, camera_dropout=0.0)
        self._strong = replace(config.strong, mirror=False, turn_steps=1)
        self._weak_tables = _tables(self._weak, model)
        self._strong_tables = _tables(self._strong, model)
        self._num_cameras = max((bag.num_cameras for bag in unlabelled), default=0)

    def __len__(self) -> int:
        return len(self._labelled)

    def __getitem__(self, key: tuple[int, int]) -> SemiSupervisedExample:
        """The example of (index, position); the position decides what goes with it."""
        _, position = key
        count = self._config.ratio if self._config.uses_unlabelled else 0
        return SemiSupervisedExample(
            position,
            self._labelled[key],
            tuple(self.unlabelled_example(position, number) for number in range(count)),
        )

    def unlabelled_example(self, position: int, number: int) -> UnlabelledExample:
        """The number-th moment without labels at a position."""
        random = np.random.default_rng((self._seed, position, number, _UNLABELLED))
        sample = self._drawn(random)
        weak = tuple(
            self._sight(augmented(sample, self._weak, random), self._weak_tables)
            for _ in range(self._config.num_weak)
        )
        strong = tuple(
            self._sight(augmented(sample, self._strong, random), self._strong_tables)
            for _ in range(self._config.num_strong)
        )
        if not self._config.turn_weight:
            return UnlabelledExample(weak, strong)
        quarters = int(random.integers(QUARTERS))
        seen = turned(augmented(sample, self._strong, random), quarters * np.pi / 2.0)
        return UnlabelledExample(weak, strong, (self._sight(seen, self._strong_tables), quarters))

    def _drawn(self, random: np.random.Generator) -> Sample:
        """A moment without its boxes, mirrored and turned as all its variations are."""
        index = int(random.integers(self._ends[-1]))
        bag = int(np.searchsorted(self._ends, index, side="right"))
        first = int(self._ends[bag - 1]) if bag else 0
        sample = self._bags[bag].sample(index - first, with_objects=False)
        steps = self._frame.turn_steps
        sample = turned(sample, 2.0 * np.pi * int(random.integers(steps)) / steps)
        if self._frame.mirror and random.random() < 0.5:
            sample = mirrored(sample)
        return padded(sample, self._num_cameras)

    @staticmethod
    def _sight(sample: Sample, tables: TapTableCache) -> Sight:
        images = np.ascontiguousarray(sample.images)
        return Sight(images, tables.table(sample.rig, sample.present))


_UNLABELLED = 1
"""Tells draws for samples without labels from those for the labelled one at the same position."""


def _tables(config: AugmentationConfig, model: SegnetConfig) -> TapTableCache:
    return TapTableCache(model) if config.repeats_rigs else TapTableCache(model, max_bytes=0)
