# SPDX-License-Identifier: Apache-2.0
"""Windows of consecutive sets of one drive, varied alike, with ego poses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch.utils.data import Dataset

from bev_perception.datasets.prepared_bag import PreparedBag, Sample
from bev_perception.datasets.targets import TargetSettings
from bev_perception.datasets.velocity_targets import make_velocity_targets
from bev_perception.errors import ConfigurationError
from bev_perception.geometry.planar import EgoMoment, PlanarPose
from bev_perception.model import SegnetConfig
from bev_perception.training.augmentation import AugmentationConfig
from bev_perception.training.dataset import SegnetDataset
from bev_perception.training.sequences.config import SequenceConfig
from bev_perception.training.sequences.window_batch import Look, Window

SECOND = 1_000_000_000


class WindowDataset(Dataset[Window]):
    """For every set of prepared bags the window that ends with it.

    Where a drive has too few sets before it, its first one fills the window up, without a
    moment, so that the memory does not take it: the network also learns to begin.

    Args:
        bags: prepared with ego poses, all with the model's image size.
        config: the model.
        sequences: how long windows are.
        targets, augmentation, seed: see SegnetDataset; all sets of a window get one variation.

    Raises:
        ConfigurationError: a bag was prepared without ego poses, or its sets are too far apart
            in time for the memory.
    """

    def __init__(
        self,
        bags: Sequence[PreparedBag],
        config: SegnetConfig,
        sequences: SequenceConfig,
        targets: TargetSettings | None = None,
        augmentation: AugmentationConfig | None = None,
        seed: int = 0,
    ) -> None:
        for bag in bags:
            _check_bag(bag, config)
        self._sets = SegnetDataset(bags, config, targets, augmentation, seed)
        self._firsts = np.repeat(
            np.cumsum([0, *(len(bag) for bag in bags)])[:-1], [len(bag) for bag in bags]
        )
        self._grid = config.grid
        self._sequences = sequences
        self._targets = targets or TargetSettings(classes=config.classes)

    def __len__(self) -> int:
        return len(self._sets)

    def __getitem__(self, key: int | tuple[int, int]) -> Window:
        """One window; (index, position) draws the variation that belongs to the position."""
        index, position = key if isinstance(key, tuple) else (key, key)
        numbers = np.arange(index - self._sequences.length + 1, index + 1)
        first = int(self._firsts[index])
        samples = [self._sets.variation(max(int(n), first), position) for n in numbers]
        moments = [None if n < first else ego_moment(s) for n, s in zip(numbers, samples)]
        history = self._sequences.history
        looks = []
        for number in range(history, len(samples)):
            window = [s for s, n in zip(samples, numbers) if n >= first]
            taught = remembered(samples[number], window, self._sequences.remember_s)
            velocity, known = make_velocity_targets(taught.objects, self._grid, self._targets)
            looks.append(Look(self._sets.example(taught), moments[number], velocity, known))
        past = [self._sets.example(sample, taught=False) for sample in samples[:history]]
        return Window(tuple(zip(past, moments)), tuple(looks))


def ego_moment(sample: Sample) -> EgoMoment | None:
    """When and where the vehicle was; None where its pose is not known."""
    if sample.world_T_level is None:
        return None
    return EgoMoment(sample.stamp_ns, PlanarPose.of(sample.world_T_level))


def remembered(sample: Sample, window: Sequence[Sample], remember_s: float) -> Sample:
    """The sample with each object as visible as it was at best within the last seconds.

    Args:
        sample: one of the window's.
        window: sets that the network has seen, of one drive.
        remember_s: how long ago at most.
    """
    best: dict[int, float] = {}
    for other in window:
        age_ns = sample.stamp_ns - other.stamp_ns
        if 0 <= age_ns <= remember_s * SECOND:
            for box in other.objects:
                best[box.object_id] = max(best.get(box.object_id, 0.0), box.visibility)
    objects = tuple(
        replace(box, visibility=max(box.visibility, best.get(box.object_id, 0.0)))
        for box in sample.objects
    )
    return replace(sample, objects=objects)


def _check_bag(bag: PreparedBag, config: SegnetConfig) -> None:
    if not bag.knows_poses:
        raise ConfigurationError(
            f"{bag.path} was prepared by an earlier version, without ego poses, and windows need "
            f"them; delete it and it is made again"
        )
    stamps = [bag.stamp_ns(index) for index in range(len(bag))]
    gaps_s = np.diff(stamps) / SECOND
    if len(gaps_s) and config.memory.is_on and np.median(gaps_s) > config.memory.max_gap_s:
        raise ConfigurationError(
            f"sets of {bag.description.get('bag', bag.path)} are {np.median(gaps_s):.2f} s apart, "
            f"and model.memory.max_gap_s empties the memory after {config.memory.max_gap_s:g} s; "
            f"raise it, or record more sets per second"
        )
